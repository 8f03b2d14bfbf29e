"""A release that looks after one namespace, with Roles there alone."""

import json
import unittest
import urllib.request

from cluster import shell, wait
from e2e.release import HELLO, Release, get


class Scoped(Release):
    @classmethod
    def options(cls):
        cls.watched = cls.enterClassContext(cls.cluster.namespace("watched"))
        cls.cluster.kubectl("label", "namespace", cls.watched, "pod-security.kubernetes.io/enforce=restricted")
        return ["--set", f"watchNamespace={cls.watched}"]

    def may(self, verb, what, namespace, *options):
        """Whether the operator's ServiceAccount may, by the API server's own word."""
        try:
            said = self.cluster.kubectl("auth", "can-i", verb, what, "--namespace", namespace, *options, "--as",
                                        f"system:serviceaccount:{self.namespace}:mayfly-operator")
        except shell.Failed:
            return False
        return said.strip() == "yes"

    def refusals(self):
        """What the API server forbade an operator, by its own count and by its log."""
        found = []
        for pod in self.pods("app.kubernetes.io/component=operator"):
            name = pod["metadata"]["name"]
            with urllib.request.urlopen(f"http://{pod['status']['podIP']}:9090/metrics", timeout=10) as answer:
                found += [f"{name}: {line}" for line in answer.read().decode().splitlines() if 'code="403"' in line]
            found += [f"{name}: {line}" for line in self.cluster.logs(name, self.namespace).splitlines() if "forbidden" in line.lower()]
        return found

    def apply(self, name, namespace):
        self.cluster.apply(HELLO.replace("name: hello", f"name: {name}").replace("/hello,", f"/{name},"), namespace)
        self.addCleanup(self.cluster.delete, "fn", name, namespace)

    def ready(self, name):
        self.cluster.kubectl("wait", "--for=condition=Ready", f"fn/{name}", "--timeout=30s", "--namespace", self.watched, seconds=35)

    def test_looks_after_its_namespace_alone_and_asks_for_nothing_it_may_not(self):
        self.apply("outside", self.namespace)
        self.apply("inside", self.watched)
        self.ready("inside")
        self.assertEqual(get(self.gateway, "/inside")[0], 200)
        self.assertEqual(len(self.cluster.list("pods", self.watched, "mayfly.dev/function=inside")), 1)
        # Another leader begins with what it may, too.
        leader = self.leader()
        self.kubectl("delete", "pod", leader)
        wait.until(lambda: self.leader() not in ("", leader), 60, "another operator leads", every=0.2)
        self.apply("later", self.watched)
        self.ready("later")
        # Each gateway hears of it once it has found the new leader.
        wait.until(lambda: all(get(self.gateway, "/later")[0] == 200 for _ in range(5)), 30, "it answers", every=0.2)
        self.cluster.delete("fn", "later", self.watched)
        wait.until(lambda: not self.cluster.list("pods", self.watched, "mayfly.dev/function=later"), 60, "its pod is gone", every=0.2)
        self.await_ready("operator")

        outside = self.cluster.get("fn", "outside", self.namespace)
        self.assertNotIn("status", outside, json.dumps(outside))
        self.assertEqual(self.pods("mayfly.dev/function=outside"), [])
        self.assertEqual(get(self.gateway, "/outside")[0], 404)
        self.assertEqual(self.refusals(), [])

    def test_may_nothing_elsewhere(self):
        made = self.cluster.kubectl("get", "clusterroles,clusterrolebindings", "--selector", "app.kubernetes.io/part-of=mayfly", "--output",
                                    "name")
        self.assertEqual(made.strip(), "")
        for verb, what in (("list", "functions.mayfly.dev"), ("create", "pods"), ("delete", "pods"), ("get", "secrets/of-others")):
            with self.subTest(f"{verb} {what}"):
                self.assertTrue(self.may(verb, what, self.watched))
                self.assertFalse(self.may(verb, what, self.namespace))
                self.assertFalse(self.may(verb, what, "default"))
        for verb, what in (("list", "secrets"), ("watch", "secrets"), ("list", "configmaps"),
                           ("delete", "functions.mayfly.dev"), ("update", "functions.mayfly.dev")):
            with self.subTest(f"{verb} {what}"):
                self.assertFalse(self.may(verb, what, self.watched))
        self.assertTrue(self.may("patch", "functions.mayfly.dev", self.watched, "--subresource=status"))
        for subresource in ("exec", "attach", "portforward", "ephemeralcontainers"):
            self.assertFalse(self.may("create", "pods", self.watched, f"--subresource={subresource}"), subresource)


if __name__ == "__main__":
    unittest.main()
