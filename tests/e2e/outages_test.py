"""What clients notice when what Mayfly stands on goes away: the API server, a node."""

import time
import unittest

from cluster import wait
from e2e.release import Load, Release, get

# Longer than a leader keeps its lease.
AWAY_SECONDS = 25


class Outages(Release):
    def gateway_on(self, node):
        """The address of the gateway's pod there."""
        for pod in self.pods("app.kubernetes.io/component=gateway"):
            if pod["spec"].get("nodeName") == node.name:
                port = next(each for each in pod["spec"]["containers"][0]["ports"] if each["name"] == "http")
                return f"{pod['status']['podIP']}:{port['containerPort']}"
        self.fail(f"no gateway runs on {node.name}")

    def test_no_request_fails_while_the_api_server_is_away(self):
        self.serve("away", scaling="{minReplicas: 1}")
        self.assertEqual(get(self.gateway, "/away")[0], 200)
        with Load(self.gateway, "/away") as load:
            load.await_more(20)
            self.cluster.control_plane.kill_daemon("kube-apiserver")
            try:
                load.run_for(AWAY_SECONDS)
            finally:
                self.cluster.start_api_server()
            load.await_more(20)
            begin = time.monotonic()
            self.serve("after", scaling="{minReplicas: 1}")
            print(f"  ready {time.monotonic() - begin:.1f} s after the API server was back", flush=True)
            wait.until(lambda: get(self.gateway, "/after")[0] == 200, 60, "a function applied afterwards answers", every=0.2)
        self.assertEqual(load.failed, [])
        print(f"  {load.answered} requests were answered, none failed", flush=True)

    def test_a_killed_nodes_replicas_are_replaced_and_no_request_hangs(self):
        stays, goes = self.cluster.control_plane, self.node(2)
        self.addCleanup(self.cluster.start_again)
        self.kubectl("cordon", stays.name)
        self.serve("homeless", scaling="{minReplicas: 1}", timeout="5s")
        wait.until(lambda: get(self.gateway, "/homeless")[0] == 200, 30, "the function answers", every=0.2)
        self.kubectl("uncordon", stays.name)
        with Load(self.gateway_on(stays), "/homeless", seconds=10) as load:
            load.await_more(20)
            goes.kill()
            begin = time.monotonic()
            load.await_more(20, seconds=120)
            print(f"  after {time.monotonic() - begin:.1f} s the next 20 answers had come from the other node", flush=True)
        # Each got an answer in time: that its replica was lost, or that none was ready within the timeout of 5 s.
        for failure in load.failed:
            self.assertRegex(failure, "^50[234] .*(ReplicaLost|TimedOut|NotReadyInTime|Unavailable)")
        on = {pod["spec"].get("nodeName") for pod in self.pods("mayfly.dev/function=homeless")}
        self.assertIn(stays.name, on)


if __name__ == "__main__":
    unittest.main()
