"""The harness: pods, from each place that images come from, and what one asks them."""

import time
import unittest

from cluster import images, layout, shell
from e2e.case import PROBE, ClusterCase


class Pods(ClusterCase):
    def test_run_and_answer_logs_and_exec(self):
        begin = time.monotonic()
        pod = self.start_pod("plain")
        print(f"  a pod is Ready {time.monotonic() - begin:.1f} s after apply", flush=True)
        self.assertIn("plain listens", self.cluster.logs("plain", self.namespace))
        said = self.cluster.exec("plain", self.namespace, "/probe", "get", pod["status"]["podIP"], "8080")
        self.assertTrue(said.endswith("plain"), said)

    def test_get_an_image_by_digest_from_the_local_registry(self):
        reference = images.push(self.probe, "e2e/probe:1")
        self.assertIn("@sha256:", reference)
        pod = self.start_pod("pulled", image=reference)
        self.assertIn(reference.partition("@")[2], pod["status"]["containerStatuses"][0]["imageID"])

    def test_mount_an_image_as_a_volume(self):
        self.start_pod("volume", volumes=[{"name": "image", "image": {"reference": PROBE, "pullPolicy": "IfNotPresent"}}],
                       container={"volumeMounts": [{"name": "image", "mountPath": "/mnt"}]})
        with self.assertRaisesRegex(shell.Failed, "connect: Connection refused"):  # the program of the volume ran
            self.cluster.exec("volume", self.namespace, "/mnt/probe", "get", "127.0.0.1", "9")

    def test_run_restricted(self):
        self.start_pod("restricted", container={"securityContext": {
            "runAsNonRoot": True, "runAsUser": 65532, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}},
            "resources": {"limits": {"memory": "32Mi", "cpu": "1"}}})

    def test_say_in_events_why_they_do_not_start(self):
        self.cluster.apply({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "imageless"},
            "spec": {"containers": [{"name": "none", "image": f"{layout.REGISTRY}/no/such:1"}]}}, self.namespace)

        def waits(pod):
            """waiting for its image"""
            states = [status["state"] for status in pod["status"].get("containerStatuses", [])]
            return any(state.get("waiting", {}).get("reason") in ("ErrImagePull", "ImagePullBackOff") for state in states)

        self.cluster.wait_for("pod", "imageless", waits, self.namespace)
        self.assertIn("not found", "\n".join(self.cluster.events(self.namespace, "imageless")))


if __name__ == "__main__":
    unittest.main()
