"""Mayfly in a cluster as people install it: images, chart, kubectl; and what its clients notice when parts of it end."""

import http.client
import subprocess
import sys
import threading
import time
import unittest

from cluster import layout, shell, wait
from e2e.case import ClusterCase

CHART = layout.ROOT / "charts" / "mayfly"
HELLO = (layout.ROOT / "examples" / "hello" / "function.yaml").read_text()
# What belongs to the release; CRDs stay, by the chart's promise.
KINDS = ("deployments,services,pods,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies,secrets,leases,"
         "clusterroles,clusterrolebindings")


class Load:
    """One request after the other, each over a connection of its own, until it is told to end; on a thread."""

    def __init__(self, address, path):
        self.answered, self.failed = 0, []
        self._address, self._path = address, path
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join()

    def await_more(self, count, seconds=60):
        until = self.answered + count
        wait.until(lambda: self.answered >= until, seconds, f"{count} more requests are answered; failed: {self.failed[:3]}")

    def _run(self):
        while not self._ends.is_set():
            try:
                status, body = get(self._address, self._path)
            except OSError as error:
                status, body = 0, repr(error)
            if status == 200:
                self.answered += 1
            else:
                self.failed.append(f"{status} {body}")


def get(address, path, seconds=30):
    """(status, body) of a GET, over a connection of its own."""
    connection = http.client.HTTPConnection(address, 80, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except http.client.HTTPException as error:
        raise OSError(repr(error)) from error
    finally:
        connection.close()


class Release(ClusterCase):
    """One release for all tests of a class, of what build/release has."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.kubectl("label", "namespace", cls.namespace, "pod-security.kubernetes.io/enforce=restricted")
        subprocess.run([sys.executable, layout.ROOT / "scripts" / "images", "--from-build"], check=True, timeout=1800)
        begin = time.monotonic()
        cls.helm("install", "mayfly", CHART, "--wait", "--timeout", "120s", "--take-ownership")
        print(f"  helm install --wait took {time.monotonic() - begin:.1f} s", flush=True)
        cls.addClassCleanup(cls.uninstall)
        service = cls.cluster.get("service", "mayfly-gateway", cls.namespace)
        cls.gateway = service["spec"]["clusterIP"]

    @classmethod
    def helm(cls, verb, *arguments):
        return cls.cluster.helm(verb, *arguments, "--namespace", cls.namespace, seconds=180)

    @classmethod
    def uninstall(cls):
        cls.helm("uninstall", "mayfly", "--wait")
        cls.cluster.delete("crd", "functions.mayfly.dev")
        cls.cluster.delete("crd", "runtimepools.mayfly.dev")

    def kubectl(self, *arguments, seconds=60):
        return self.cluster.kubectl(*arguments, "--namespace", self.namespace, seconds=seconds)

    def serve(self, name, **changes):
        """The example hello under another name, Ready. `changes`: field of spec: its YAML."""
        text = HELLO.replace("name: hello", f"name: {name}").replace("/hello,", f"/{name},")
        text += "".join(f"  {field}: {value}\n" for field, value in changes.items())
        self.cluster.apply(text, self.namespace)
        self.addCleanup(self.cluster.delete, "fn", name, self.namespace)
        self.kubectl("wait", "--for=condition=Ready", f"fn/{name}", "--timeout=30s")

    def pods(self, selector):
        return [pod for pod in self.cluster.list("pods", self.namespace, selector) if "deletionTimestamp" not in pod["metadata"]]

    def await_no_pods(self, name, seconds=60):
        wait.until(lambda: not self.cluster.list("pods", self.namespace, f"mayfly.dev/function={name}"), seconds,
                   f"the pods of {name} are gone", every=0.2)

    def leader(self):
        lease = self.cluster.get("lease", "mayfly-operator", self.namespace)
        return lease["spec"]["holderIdentity"].partition("_")[0]

    def await_ready(self, part):
        self.kubectl("rollout", "status", f"deployment/mayfly-{part}", "--timeout=60s", seconds=70)


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
