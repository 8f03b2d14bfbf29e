"""The harness: nodes and the control plane."""

import json
import os
import subprocess
import tempfile
import unittest

from cluster import layout, lifecycle, tools
from e2e.case import ClusterCase


class Nodes(ClusterCase):
    def test_are_ready_and_run_the_kubernetes_that_is_pinned(self):
        version = "v" + tools.read_list()["kube"].version
        found = self.cluster.list("nodes")
        self.assertEqual([node.name for node in self.cluster.nodes], sorted(node["metadata"]["name"] for node in found))
        for node in found:
            self.assertEqual(version, node["status"]["nodeInfo"]["kubeletVersion"])

    def test_are_seen_by_the_helm_that_is_pinned(self):
        said = self.cluster.helm("version", "--short").strip()  # built from its module, it knows no more than v4.3
        self.assertTrue(f"v{tools.read_list()['helm'].version}".startswith(said), said)
        self.assertEqual([], json.loads(self.cluster.helm("list", "--namespace", self.namespace, "--output", "json")))

    def test_come_up_at_once_if_they_are_up(self):
        self.assertTrue(lifecycle.up(1))

    def test_of_another_checkout_are_not_touched(self):
        with tempfile.TemporaryDirectory() as folder:
            for command in ("up", "down"):
                run = subprocess.run(
                    [layout.ROOT / "tests" / "cluster" / "cluster", command], capture_output=True, text=True, check=False,
                    timeout=60, env={**os.environ, "MAYFLY_CLUSTER_FOLDER": folder})
                self.assertEqual(1, run.returncode)
                self.assertIn(f"another checkout's cluster runs on this machine: {layout.STATE}", run.stderr)
        self.assertTrue(lifecycle.up(1))


class Namespaces(ClusterCase):
    def test_are_gone_with_what_was_in_them(self):
        with self.cluster.namespace("short") as name:
            self.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"a": "b"}}, name)
            self.assertEqual({"a": "b"}, self.cluster.get("configmap", "kept", name)["data"])
        self.cluster.delete("namespace", name)
        self.assertIsNone(self.cluster.get("namespace", name))


if __name__ == "__main__":
    unittest.main()
