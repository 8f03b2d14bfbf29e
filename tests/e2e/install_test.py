"""Mayfly in a cluster as people install it: images, chart, kubectl; and what its clients notice when parts of it end."""

import contextlib
import functools
import json
import re
import subprocess
import sys
import time
import unittest

from cluster import layout, shell, wait
from cluster.testing import has_condition
from e2e.release import CHART, HELLO, Load, Release, get

# What belongs to the release; CRDs stay, by the chart's promise.
KINDS = ("deployments,services,pods,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies,secrets,leases,"
         "clusterroles,clusterrolebindings")
OTHER_BUILD = "other-build"


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

    def test_the_release_passes_its_own_test(self):
        self.helm("test", "mayfly")

    def test_other_values_and_another_build_come_and_go_under_load(self):
        """There is one version so far: the other one is the same programs, in images of another tag and digest."""
        subprocess.run([sys.executable, layout.ROOT / "scripts" / "images", "--from-build", "--tag", OTHER_BUILD], check=True, timeout=600)
        self.serve("through", scaling="{minReplicas: 2}")
        wait.until(lambda: self.ready_images("through") == 2 * [self.image_of_runtime("")], 60, "both replicas are ready", every=0.5)
        functions, parts = self.uids("mayfly.dev/function=through"), self.uids("app.kubernetes.io/component in (operator,gateway)")
        revision = self.helm_revision()
        with contextlib.ExitStack() as stack:
            loads = [stack.enter_context(Load(self.gateway, "/through")) for _ in range(4)]

            def await_more():
                for load in loads:
                    load.await_more(50)

            await_more()
            self.helm("upgrade", "mayfly", CHART, "--wait", "--set", "operator.logLevel=debug,gateway.podLabels.upgraded=yes")
            await_more()
            # Operators and gateways are others, and led by another; what serves is not touched for it.
            self.await_ready("operator")
            self.await_ready("gateway")
            self.assertFalse(parts & self.uids("app.kubernetes.io/component in (operator,gateway)"))
            wait.until(lambda: self.leader() in self.names("app.kubernetes.io/component=operator"), 60, "a new operator leads", every=0.2)
            await_more()
            self.assertEqual(self.uids("mayfly.dev/function=through"), functions)

            self.helm("upgrade", "mayfly", CHART, "--wait", "--set", f"image.tag={OTHER_BUILD}")
            self.await_replicas_of(OTHER_BUILD)
            await_more()
            self.assertFalse(self.uids("mayfly.dev/function=through") & functions)
            self.helm("rollback", "mayfly", revision, "--wait")
            self.await_replicas_of("")
            await_more()
        self.assertEqual([failure for load in loads for failure in load.failed], [])
        print(f"  {sum(load.answered for load in loads)} requests were answered, none failed", flush=True)

    def await_replicas_of(self, tag):
        wait.until(lambda: self.ready_images("through") == 2 * [self.image_of_runtime(tag)], 120,
                   "both replicas are of the release's runtime", every=0.5)

    def ready_images(self, name):
        return [pod["spec"]["containers"][0]["image"] for pod in self.pods(f"mayfly.dev/function={name}") if has_condition(pod, "Ready")]

    def image_of_runtime(self, tag):
        return f"localhost/mayfly-runtime:{tag or self.version}"

    @functools.cached_property
    def version(self):
        return re.search(r'^appVersion: "?([^"\n]+)', (CHART / "Chart.yaml").read_text(), re.M).group(1)

    def helm_revision(self):
        return str(json.loads(self.helm("status", "mayfly", "--output", "json"))["version"])

    def uids(self, selector):
        return {pod["metadata"]["uid"] for pod in self.pods(selector)}

    def names(self, selector):
        return {pod["metadata"]["name"] for pod in self.pods(selector)}


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
