"""RuntimePools: idle pods that are kept, functions that take them, and what becomes of both."""

import base64
import json
import pathlib
import re
import tempfile
import time
import types
import unittest

from cluster import layout, shell, wait
from cluster.testing import has_condition
from e2e import artifacts_test
from e2e.release import Release, get

POOL = """
apiVersion: mayfly.dev/v1alpha1
kind: RuntimePool
metadata: {name: NAME}
spec:
"""
FUNCTION = """
apiVersion: mayfly.dev/v1alpha1
kind: Function
metadata: {name: NAME}
spec:
  artifact: {configMap: {name: MODULE, key: module.so}}
  triggers:
  - {name: http, http: {path: /NAME}}
"""


class Pool(Release):
    @classmethod
    def options(cls):
        """Pods of a pool fetch images out of the local registry, and out of one that is for ada alone; neither has TLS."""
        cls.guarded = artifacts_test.Server(types.SimpleNamespace(addCleanup=cls.addClassCleanup), artifacts_test.WithPassword).address
        return ["--set-json", f"operator.plainHttpRegistries={json.dumps([layout.REGISTRY, cls.guarded])}"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.module("hello", (layout.ROOT / "build" / "release" / "examples" / "hello.so").read_bytes())
        cls.module("broken", b"\x7fELF this is no module")

    @classmethod
    def module(cls, name, content):
        cls.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                           "binaryData": {"module.so": base64.b64encode(content).decode()}}, cls.namespace)

    def pool(self, name, size, **fields):
        """Applied, and deleted after the test."""
        lines = "".join(f"  {field}: {value}\n" for field, value in {"size": size, **fields}.items())
        self.cluster.apply(POOL.replace("NAME", name) + lines, self.namespace)
        self.addCleanup(self.delete_pool, name)

    def delete_pool(self, name):
        self.cluster.delete("rtp", name, self.namespace)
        wait.until(lambda: not self.idle(name), 60, f"the idle pods of {name} are gone", every=0.2)

    def function(self, name, module="hello", **fields):
        lines = "".join(f"  {field}: {value}\n" for field, value in fields.items())
        self.cluster.apply(FUNCTION.replace("NAME", name).replace("MODULE", module) + lines, self.namespace)
        self.addCleanup(self.cluster.delete, "fn", name, self.namespace)

    def image(self, name):
        """What `mayfly build --push` prints of the example in C."""
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "hello.c"
            source.write_bytes((layout.ROOT / "examples" / "hello-c" / "hello.c").read_bytes())
            said = shell.run(layout.ROOT / "build" / "release" / "bin" / "mayfly", "build", source, "--push", f"{layout.REGISTRY}/e2e/{name}:1",
                             "--plain-http", seconds=120)
        return re.search(r"image: (\S+)", said).group(1)

    def function_of(self, name, image, sha256=None, **spec):
        artifact = {"image": image, **({"sha256": sha256} if sha256 else {})}
        self.cluster.apply(artifacts_test.function(name, artifact, **spec), self.namespace)
        self.addCleanup(self.cluster.delete, "fn", name, self.namespace)

    def await_failure(self, name, words):
        """In the status of the function."""
        wait.until(lambda: words in self.cluster.get("fn", name, self.namespace).get("status", {}).get("lastFailure", {}).get("message", ""),
                   60, f"the status of {name} says {words}", every=0.3)

    def idle(self, pool):
        return self.pods(f"mayfly.dev/pool={pool}")

    def of(self, function):
        return self.pods(f"mayfly.dev/function={function}")

    def status(self, pool):
        return self.cluster.get("rtp", pool, self.namespace).get("status", {})

    def await_filled(self, pool, size):
        def filled():
            status = self.status(pool)
            return (status.get("ready"), status.get("idle"), status.get("desired")) == (size,) * 3

        wait.until(filled, 60, f"{size} pods wait in {pool}", every=0.1)

    def names(self, pods):
        return {pod["metadata"]["name"] for pod in pods}

    def await_event(self, name, reason):
        wait.until(lambda: any(reason in line for line in self.cluster.events(self.namespace, name)), 30, f"an Event {reason} of {name}")
        return "\n".join(self.cluster.events(self.namespace, name))

    def test_keeps_its_pods_and_replaces_those_that_go(self):
        self.pool("kept", 2)
        self.await_filled("kept", 2)
        self.assertTrue(has_condition(self.cluster.get("rtp", "kept", self.namespace), "Ready"))
        pods = self.idle("kept")
        owner = pods[0]["metadata"]["ownerReferences"][0]
        self.assertEqual((owner["kind"], owner["name"]), ("RuntimePool", "kept"))
        gone = pods[0]["metadata"]["name"]
        self.kubectl("delete", "pod", gone, "--grace-period=1", "--wait=false")
        wait.until(lambda: gone not in self.names(self.idle("kept")), 30, "the pod goes")
        self.await_filled("kept", 2)
        # kubectl scale, and a manifest by which its pods are outdated.
        self.kubectl("scale", "rtp", "kept", "--replicas=3")
        self.await_filled("kept", 3)
        before = self.names(self.idle("kept"))
        self.kubectl("patch", "rtp", "kept", "--type=merge", "--patch", '{"spec":{"podLabels":{"team":"a"}}}')
        wait.until(lambda: not before & self.names(self.idle("kept")), 60, "outdated pods are replaced", every=0.2)
        self.await_filled("kept", 3)
        self.assertEqual({pod["metadata"]["labels"].get("team") for pod in self.idle("kept")}, {"a"})
        # Without an operator nobody replaces anything; the next one takes over what is there.
        before = self.names(self.idle("kept"))
        self.kubectl("delete", "pods", "--selector", "app.kubernetes.io/component=operator", "--grace-period=0", "--force")
        self.kubectl("rollout", "status", "deployment/mayfly-operator", "--timeout=60s", seconds=90)
        self.function("after", runtime="{podLabels: {team: a}}")
        wait.until(lambda: get(self.gateway, "/after")[0] == 200, 60, "a function is served after the restart", every=0.2)
        self.assertTrue(self.names(self.of("after")) <= before, "its pod is one of those of before the restart")

    def test_gives_a_pod_to_a_function_that_is_its_own_then(self):
        self.pool("given", 1)
        self.await_filled("given", 1)
        waits = self.names(self.idle("given"))
        self.function("taker", scaling="{scaleToZeroAfter: 20s}")
        self.kubectl("wait", "--for=condition=Ready", "fn/taker", "--timeout=30s")
        begin = time.monotonic()
        status, body = get(self.gateway, "/taker")
        took = time.monotonic() - begin
        self.assertEqual(status, 200, body)
        print(f"  the first request of a function with a pool took {took * 1e3:.1f} ms", flush=True)
        wait.until(lambda: self.names(self.of("taker")) == waits, 10, "the pod is the function's", every=0.1)
        pod = self.of("taker")[0]
        owner = pod["metadata"]["ownerReferences"]
        self.assertEqual([(one["kind"], one["name"]) for one in owner], [("Function", "taker")])
        self.assertNotIn("mayfly.dev/pool", pod["metadata"]["labels"])
        self.assertEqual(pod["metadata"]["annotations"]["mayfly.dev/from-pool"], "given")
        self.assertIn("module loaded", self.kubectl("logs", "--selector", "mayfly.dev/function=taker"))
        self.await_filled("given", 1)
        wait.until(lambda: self.status("given")["taken"] == 1, 10, "the pool has counted it", every=0.1)
        # Deleting the pool takes what waits, and leaves what was taken.
        self.delete_pool("given")
        self.assertEqual(get(self.gateway, "/taker")[0], 200)
        self.assertEqual(self.names(self.of("taker")), waits)
        # It is the function's in its end too.
        self.await_no_pods("taker")
        self.assertEqual(get(self.gateway, "/taker")[0], 200)
        self.cluster.delete("fn", "taker", self.namespace)
        self.await_no_pods("taker")

    def test_gives_each_pod_once_and_makes_more_when_there_are_none(self):
        self.pool("few", 1)
        self.await_filled("few", 1)
        names = [f"many-{number}" for number in range(4)]
        for name in names:
            self.function(name, scaling="{minReplicas: 1}")
        for name in names:
            wait.until(lambda path=f"/{name}": get(self.gateway, path)[0] == 200, 60, f"{name} answers", every=0.1)
            self.assertEqual(get(self.gateway, f"/{name}")[0], 200)
        wait.until(lambda: all(len(self.of(name)) == 1 for name in names), 30, "each has one pod", every=0.2)
        pods = [self.names(self.of(name)).pop() for name in names]
        self.assertEqual(len(set(pods)), len(names), "no pod is of two functions")
        self.assertTrue(any(pod.startswith("few-") for pod in pods))
        self.assertIn("PoolExhausted", self.await_event(next(n for n, p in zip(names, pods) if not p.startswith("few-")), "PoolExhausted"))

    def test_says_why_a_function_gets_a_pod_of_its_own(self):
        self.pool("plain", 1)
        self.await_filled("plain", 1)
        self.function("large", resources="{limits: {memory: 256Mi}}", scaling="{minReplicas: 1}")
        wait.until(lambda: get(self.gateway, "/large")[0] == 200, 60, "it answers", every=0.2)
        self.assertIn("spec.resources", self.await_event("large", "PoolDoesNotFit"))
        self.assertTrue(self.names(self.of("large")).pop().startswith("large-"))
        self.assertEqual(self.status("plain")["taken"], 0)

    def test_takes_back_a_pod_whose_module_was_refused(self):
        self.pool("back", 1)
        self.await_filled("back", 1)
        waits = self.names(self.idle("back"))
        self.function("bad", module="broken")
        wait.until(lambda: get(self.gateway, "/bad")[0] != 404, 30, "the function has its route", every=0.1)
        status, body = get(self.gateway, "/bad")
        self.assertEqual(status, 503, body)
        self.await_event("bad", json.loads(body)["reason"])
        self.await_filled("back", 1)
        self.assertEqual(self.names(self.idle("back")), waits, "the pod is in the pool again")
        self.assertEqual(self.of("bad"), [])
        self.function("good")
        wait.until(lambda: get(self.gateway, "/good")[0] == 200, 30, "another function is served", every=0.1)
        wait.until(lambda: self.names(self.of("good")) == waits, 10, "and has that pod", every=0.1)

    def test_loads_a_module_out_of_an_image(self):
        image = self.image("pooled")
        self.pool("images", 1)
        self.await_filled("images", 1)
        waits = self.names(self.idle("images"))
        self.function_of("carried", image, scaling={"scaleToZeroAfter": "20s"})
        self.kubectl("wait", "--for=condition=Ready", "fn/carried", "--timeout=30s")
        begin = time.monotonic()
        self.assertEqual(get(self.gateway, "/carried?name=Ada"), (200, "Hello, Ada!\n"))
        print(f"  the first request of a function with an image and a pool took {(time.monotonic() - begin) * 1e3:.1f} ms", flush=True)
        wait.until(lambda: self.names(self.of("carried")) == waits, 10, "the pod is the function's", every=0.1)
        self.assertNotIn("module", {volume["name"] for volume in self.of("carried")[0]["spec"]["volumes"]})
        # The next operator knows that this pod has no volume of the image.
        self.kubectl("delete", "pods", "--selector", "app.kubernetes.io/component=operator", "--grace-period=0", "--force")
        self.kubectl("rollout", "status", "deployment/mayfly-operator", "--timeout=60s", seconds=90)
        self.kubectl("patch", "fn", "carried", "--type=merge", "--patch", '{"spec":{"config":{"greeting":"Hello"}}}')
        for _ in range(20):
            self.assertEqual(get(self.gateway, "/carried?name=Bob"), (200, "Hello, Bob!\n"))
        self.assertEqual(self.names(self.of("carried")), waits)

    def test_says_why_an_image_is_not_loaded(self):
        image = self.image("refused")
        self.pool("strict", 2)
        self.await_filled("strict", 2)
        self.function_of("forged", image, sha256="0" * 64, scaling={"minReplicas": 1})
        self.await_failure("forged", f"spec.artifact.sha256 wants {'0' * 64}")
        self.function_of("untagged", f"{layout.REGISTRY}/e2e/refused:none", scaling={"minReplicas": 1})
        self.await_failure("untagged", "the registry has no none of e2e/refused")
        self.assertEqual(self.of("untagged"), [])
        self.await_filled("strict", 2)

    def test_fetches_an_image_by_the_pull_secret_of_the_function(self):
        image = self.image("guarded").replace(layout.REGISTRY, self.guarded)
        self.pool("guards", 1)
        self.await_filled("guards", 1)
        waits = self.names(self.idle("guards"))
        self.function_of("unknown", image, scaling={"minReplicas": 1})
        self.await_failure("unknown", "name a Secret in spec.imagePullSecrets")
        self.assertIn("pods of its own instead", self.await_event("unknown", "ArtifactForbidden"))
        wait.until(lambda: self.of("unknown") and not waits & self.names(self.of("unknown")), 30, "it has a pod of its own", every=0.2)
        self.await_filled("guards", 1)
        self.function_of("missing", image, imagePullSecrets=[{"name": "login"}], scaling={"minReplicas": 1})
        self.await_failure("missing", "there is no Secret login in namespace")
        self.await_filled("guards", 1)
        login = json.dumps({"auths": {self.guarded: {"auth": base64.b64encode(b"ada:secret").decode()}}})
        self.kubectl("create", "secret", "docker-registry", "login", f"--from-file=.dockerconfigjson={self.file(login)}")
        self.function_of("known", image, imagePullSecrets=[{"name": "login"}])
        self.kubectl("wait", "--for=condition=Ready", "fn/known", "--timeout=30s")
        self.assertEqual(get(self.gateway, "/known?name=Ada"), (200, "Hello, Ada!\n"))
        wait.until(lambda: self.names(self.of("known")) == waits, 10, "the pod of the pool is the function's", every=0.1)

    def file(self, text):
        path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "file"
        path.write_text(text)
        return path


if __name__ == "__main__":
    unittest.main()
