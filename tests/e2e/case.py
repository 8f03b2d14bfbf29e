"""What the tests on a cluster share: the cluster, a namespace of their own, the probe's image, and words when they fail."""

import functools
import sys
import unittest

from cluster import images, layout
from cluster.testing import Cluster

PROBE = "localhost/probe:1"
HERE = layout.ROOT / "tests" / "e2e"


@functools.cache
def load_probe():
    """Its archive, once every node has it."""
    archive = images.compile_image(HERE / "probe.c", PROBE, layout.STATE / "probe.tar")
    Cluster().load_image(archive)
    return archive


class ClusterCase(unittest.TestCase):
    """Each class has a namespace; its tests name their objects differently, or delete them."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.probe = load_probe()
        cls.namespace = cls.enterClassContext(cls.cluster.namespace(cls.__name__.lower()))

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            try:
                print(f"--- {self.id()} failed. Pods and events of its namespace; logs are in {layout.LOGS}", file=sys.stderr)
                print(self.cluster.kubectl("get", "nodes,pods", "--output", "wide", "--namespace", self.namespace), file=sys.stderr)
                print("\n".join(self.cluster.events(self.namespace)[-15:]), file=sys.stderr)
            except RuntimeError as error:
                print(error, file=sys.stderr)
        return result

    def node(self, number):
        """Node `number`, or the test is skipped since the cluster has too few."""
        if len(self.cluster.nodes) < number:
            self.skipTest(f"needs {number} nodes: make cluster NODES={number}")
        return self.cluster.nodes[number - 1]

    def start_pod(self, name, node=None, image=PROBE, seconds=60, **spec):
        """A pod of the probe that is Ready."""
        container = {"name": "probe", "image": image, "imagePullPolicy": "IfNotPresent",
                     "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}
        self.cluster.apply({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"containers": [{**container, **spec.pop("container", {})}], "terminationGracePeriodSeconds": 1,
                     **({"nodeName": node.name} if node else {}), **spec},
        }, self.namespace)
        return self.cluster.wait_for("pod", name, "Ready", self.namespace, seconds)
