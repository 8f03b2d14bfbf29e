"""The harness: the network between the host, nodes, pods and services."""

import unittest
import urllib.request

from cluster import layout, shell, wait
from e2e.case import ClusterCase


class Services(ClusterCase):
    def setUp(self):
        self.start_pod("served")
        self.cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "served"}, "spec": {
            "type": "NodePort", "selector": {"app": "served"}, "ports": [{"port": 80, "targetPort": 8080}]}}, self.namespace)
        self.service = self.cluster.get("service", "served", self.namespace)["spec"]

    def ask(self, address, port):
        def answer():
            with urllib.request.urlopen(f"http://{address}:{port}/", timeout=2) as said:
                return said.read().decode()

        return wait.until(answer, 20, f"{address}:{port} answers")

    def test_are_reached_from_the_host_by_cluster_address_and_node_port(self):
        self.assertEqual("served", self.ask(self.service["clusterIP"], 80))
        for node in self.cluster.nodes:
            self.assertEqual("served", self.ask(layout.node_address(node.number), self.service["ports"][0]["nodePort"]))

    def test_are_found_by_name_and_reached_from_a_pod_on_every_node(self):
        name = f"served.{self.namespace}.svc.cluster.local"
        for node in self.cluster.nodes:
            client = f"client-on-{node.name}"
            self.start_pod(client, node)
            address = wait.until(lambda client=client: self.cluster.exec(client, self.namespace, "/probe", "resolve", name), 20,
                                 f"{name} is resolved").strip()
            self.assertEqual(self.service["clusterIP"], address)
            said = self.cluster.exec(client, self.namespace, "/probe", "get", address, "80")
            self.assertTrue(said.endswith("served"), said)

    def test_of_strangers_have_no_name_here(self):
        with self.assertRaisesRegex(shell.Failed, "says no: code 3"):
            self.cluster.exec("served", self.namespace, "/probe", "resolve", "example.org")


if __name__ == "__main__":
    unittest.main()
