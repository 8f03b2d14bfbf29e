"""Mayfly in a cluster as people install it: images, chart, kubectl; and what its clients notice when parts of it end."""

import sys
import time
import unittest

from cluster import layout, shell, wait
from e2e.release import CHART, HELLO, Load, Release, get

# What belongs to the release; CRDs stay, by the chart's promise.
KINDS = ("deployments,services,pods,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies,secrets,leases,"
         "clusterroles,clusterrolebindings")


class Install(Release):
    def test_an_example_is_applied_answers_and_leaves_nothing(self):
        self.cluster.apply(layout.ROOT / "examples" / "hello" / "function.yaml", self.namespace)
        self.kubectl("wait", "--for=condition=Ready", "fn/hello", "--timeout=30s")
        begin = time.monotonic()
        self.assertEqual(get(self.gateway, "/hello?name=Ada"), (200, "Hello, Ada!\n"))
        print(f"  the first answer, from zero, took {time.monotonic() - begin:.2f} s", flush=True)
        self.assertRegex(self.kubectl("get", "fn"), r"NAME +READY +REPLICAS .*\nhello +True +1 ")
        said = self.kubectl("describe", "fn", "hello")
        for words in ("RevisionLoaded", "from 0 to 1 replicas", "every trigger is routed"):
            self.assertIn(words, said)
        self.assertIn("Where the module is", self.kubectl("explain", "fn.spec.artifact"))
        self.kubectl("delete", "fn", "hello")
        self.await_no_pods("hello")
        self.assertEqual(get(self.gateway, "/hello")[0], 404)

    def test_a_function_that_idles_has_no_pod_and_answers_again(self):
        self.serve("idles", scaling="{scaleToZeroAfter: 2s}")
        self.assertEqual(get(self.gateway, "/idles")[0], 200)
        self.await_no_pods("idles")
        self.assertRegex(self.kubectl("get", "fn", "idles"), r"\nidles +True +0 ")
        self.assertEqual(get(self.gateway, "/idles")[0], 200)

    def test_a_function_that_cannot_start_says_why(self):
        text = HELLO.replace("name: hello", "name: broken") + f"  runtime: {{image: {layout.REGISTRY}/no/such:1}}\n  scaling: {{minReplicas: 1}}\n"
        self.cluster.apply(text, self.namespace)
        self.addCleanup(self.cluster.delete, "fn", "broken", self.namespace)
        wait.until(lambda: f"{layout.REGISTRY}/no/such:1" in self.kubectl("describe", "fn", "broken").partition("Status:")[2], 60,
                   "describe names the image that cannot be pulled", every=0.5)

    def test_a_module_that_is_not_there_is_named(self):
        self.cluster.apply(HELLO.replace("name: hello", "name: absent").replace("hello.so", "absent.so")
                           + "  scaling: {minReplicas: 1}\n", self.namespace)
        self.addCleanup(self.cluster.delete, "fn", "absent", self.namespace)
        wait.until(lambda: "/functions/build/release/examples/absent.so" in self.kubectl("describe", "fn", "absent"), 60,
                   "describe names the module", every=0.5)

    def test_the_end_of_the_leading_operator_fails_no_request(self):
        self.serve("steady", scaling="{minReplicas: 1}")
        with Load(self.gateway, "/steady") as load:
            load.await_more(50)
            leader = self.leader()
            self.kubectl("delete", "pod", leader, "--grace-period=0", "--force")
            wait.until(lambda: self.leader() not in ("", leader), 60, "another operator leads", every=0.2)
            load.await_more(50)
        self.assertEqual(load.failed, [])
        self.await_ready("operator")
        print(f"  {load.answered} requests were answered, none failed", flush=True)

    def test_the_end_of_a_gateway_fails_no_request(self):
        self.serve("behind", scaling="{minReplicas: 1}")
        with Load(self.gateway, "/behind") as load:
            load.await_more(50)
            gone = self.pods("app.kubernetes.io/component=gateway")[0]["metadata"]["name"]
            self.kubectl("delete", "pod", gone, "--wait=true", seconds=120)
            load.await_more(50)
        self.assertEqual(load.failed, [])
        self.await_ready("gateway")
        print(f"  {load.answered} requests were answered, none failed", flush=True)

    def test_the_release_is_tested_upgraded_and_rolled_back_under_load(self):
        self.helm("test", "mayfly")
        self.serve("through", scaling="{minReplicas: 1}")
        with Load(self.gateway, "/through") as load:
            load.await_more(20)
            self.helm("upgrade", "mayfly", CHART, "--wait", "--set", "operator.logLevel=debug,gateway.podLabels.upgraded=yes")
            load.await_more(20)
            self.helm("rollback", "mayfly", "1", "--wait")
            load.await_more(20)
        self.assertEqual(load.failed, [])


class Uninstall(Release):
    """What is left of a release of its own."""

    def test_leaves_nothing_but_the_definitions(self):
        self.serve("last")
        self.assertEqual(get(self.gateway, "/last")[0], 200)
        self.cluster.delete("fn", "last", self.namespace)
        self.await_no_pods("last")
        self.helm("uninstall", "mayfly", "--wait")

        def left():
            found = self.kubectl("get", KINDS, "--selector", "app.kubernetes.io/part-of=mayfly", "--output", "name").split()
            return found + self.kubectl("get", "pods,leases,secrets", "--output", "name").split()

        wait.until(lambda: not left(), 60, "nothing is left of the release", every=0.5)
        self.assertIn("functions.mayfly.dev", self.kubectl("get", "crds", "--output", "name"))
        self.helm("install", "mayfly", CHART, "--wait", "--timeout", "120s")


class Manifests(unittest.TestCase):
    def test_are_what_the_chart_makes(self):
        shell.run(sys.executable, layout.ROOT / "scripts" / "deploy-manifests", "--check")


if __name__ == "__main__":
    unittest.main()
