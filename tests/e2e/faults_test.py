"""The harness: what it breaks is broken, is seen to be, and comes back."""

import unittest

from cluster import shell, wait
from e2e.case import ClusterCase


class Faults(ClusterCase):
    def tearDown(self):
        for node in self.cluster.nodes:
            if node.running():
                node.thaw()
                node.reconnect()
        self.cluster.start_again()

    def reachable(self, pod):
        return shell.succeeds("curl", "--silent", "--fail", "--max-time", "2", f"http://{pod['status']['podIP']}:8080/")

    def test_a_node_that_is_cut_off_is_not_ready_until_it_is_connected_again(self):
        node = self.node(2)
        pod = self.start_pod("on-cut-node", node)
        self.assertTrue(self.reachable(pod))
        node.cut_off()
        self.assertFalse(self.reachable(pod))
        self.cluster.wait_until_not_ready(node, seconds=30)
        node.reconnect()
        self.cluster.wait_until_ready(node, seconds=30)
        wait.until(lambda: self.reachable(pod), 10, "the pod is reached again")

    def test_a_node_that_is_frozen_answers_nothing_until_it_is_thawed(self):
        node = self.node(2)
        pod = self.start_pod("on-frozen-node", node)
        node.freeze()
        self.assertFalse(self.reachable(pod))
        node.thaw()
        wait.until(lambda: self.reachable(pod), 10, "the pod answers again")

    def test_a_node_that_is_killed_comes_back_with_its_pods(self):
        node = self.node(2)
        pod = self.start_pod("on-killed-node", node)
        node.kill()
        self.assertFalse(self.reachable(pod))
        self.cluster.start_again()

        def restarted(found):
            """running again"""
            statuses = found["status"].get("containerStatuses", [])
            return statuses and statuses[0]["restartCount"] > 0 and statuses[0]["ready"]

        self.cluster.wait_for("pod", "on-killed-node", restarted, self.namespace)

    def test_pods_outlive_the_daemons_of_their_node(self):
        node = self.cluster.nodes[0]
        pod = self.start_pod("outlives", node)
        node.kill_daemon("kubelet")
        node.kill_daemon("containerd")
        self.assertFalse({"kubelet", "containerd"} & set(node.daemons()))
        self.assertTrue(self.reachable(pod))
        node.start("containerd")
        node.start("kubelet")
        self.cluster.start_again()
        self.start_pod("after-it", node)
        after = self.cluster.get("pod", "outlives", self.namespace)
        self.assertEqual(0, after["status"]["containerStatuses"][0]["restartCount"])

    def test_pods_serve_while_the_api_server_is_frozen_or_dead(self):
        node = self.cluster.control_plane
        pod = self.start_pod("headless", node)
        node.freeze_daemon("kube-apiserver")
        self.assertTrue(self.reachable(pod))
        with self.assertRaises(OSError):
            self.cluster.api.get("/readyz", timeout=1)
        node.thaw_daemon("kube-apiserver")
        wait.until(self.cluster.api.ready, 20, "the API server answers again")
        node.kill_daemon("kube-apiserver")
        node.kill_daemon("etcd")
        self.assertTrue(self.reachable(pod))
        self.cluster.start_api_server()
        self.assertIsNotNone(self.cluster.get("pod", "headless", self.namespace))


if __name__ == "__main__":
    unittest.main()
