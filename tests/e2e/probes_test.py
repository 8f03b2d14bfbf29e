"""Programs that hang: the kubelet finds out, and what they did is done by others."""

import os
import signal
import unittest

from cluster import wait
from e2e.processes import processes_of
from e2e.release import Release, get


class Probes(Release):
    def freeze(self, pod, program):
        pids = processes_of(pod, program)
        self.assertTrue(pids, f"{program} of {pod['metadata']['name']} is a process of this machine")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

    def test_a_runtime_that_hangs_while_nobody_asks_it_is_replaced(self):
        self.serve("hangs", scaling="{minReplicas: 1}")
        self.assertEqual(get(self.gateway, "/hangs")[0], 200)
        frozen = self.pods("mayfly.dev/function=hangs")[0]
        self.freeze(frozen, "mayfly-runtime")

        def replaced():
            names = [pod["metadata"]["name"] for pod in self.pods("mayfly.dev/function=hangs")
                     if all(each["ready"] for each in pod["status"].get("containerStatuses", [{"ready": False}]))]
            return names and frozen["metadata"]["name"] not in names

        wait.until(replaced, 150, "another replica is ready", every=0.5)
        self.assertEqual(get(self.gateway, "/hangs")[0], 200)

    def test_every_container_has_all_three_probes(self):
        self.serve("probed", scaling="{minReplicas: 1}")
        for component in ("operator", "gateway", "runtime"):
            for pod in self.pods(f"app.kubernetes.io/component={component}"):
                for container in pod["spec"]["containers"]:
                    self.assertLessEqual({"startupProbe", "readinessProbe", "livenessProbe"}, container.keys(), component)


if __name__ == "__main__":
    unittest.main()
