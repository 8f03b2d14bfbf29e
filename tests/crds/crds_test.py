#!/usr/bin/env python3
"""The custom resources before a real API server: what it refuses, in which words, and what it makes of what it takes.

The wrong manifests are those of operator/api/testdata/wrong_manifests.yaml: wrong_manifests_test.cc shows that the local
mode refuses the same ones.
"""

import http.client
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

import yaml

sys.dont_write_bytecode = True  # nothing is left in the tree
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from cluster import tools  # noqa: E402
from cluster.api import Api  # noqa: E402
from cluster.api_server import ApiServer  # noqa: E402

CRDS = ROOT / "deploy" / "crds"
KINDS = ("functions", "runtimepools")
FUNCTIONS = "/apis/mayfly.dev/v1alpha1/namespaces/default/functions"
POOLS = "/apis/mayfly.dev/v1alpha1/namespaces/default/runtimepools"
HEAD = "apiVersion: mayfly.dev/v1alpha1\n"


class Client(Api):
    def send(self, method, path, body, content="application/yaml"):
        """(status, what came back, parsed)."""
        connection = http.client.HTTPSConnection(self._address, timeout=20, context=self._context)
        try:
            connection.request(method, path, body.encode(), {"Content-Type": content})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def try_create(self, path, manifest):
        """As `kubectl apply --dry-run=server` does it: strictly, and to no effect."""
        return self.send("POST", f"{path}?dryRun=All&fieldValidation=Strict", manifest)

    def create(self, path, manifest):
        status, answer = self.send("POST", f"{path}?fieldValidation=Strict", manifest)
        assert status == 201, answer
        return answer


class CustomResources(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(ApiServer())
        cls.api = Client(cls.server.kubeconfig)
        cls.kubectl("apply", "-f", CRDS)
        cls.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{kind}.mayfly.dev" for kind in KINDS))

    @classmethod
    def kubectl(cls, *arguments, fails=False):
        """What it prints, errors included."""
        run = subprocess.run(["kubectl", *map(str, arguments)], executable=tools.executable("kubectl"), text=True, timeout=60,
                             env={**os.environ, "KUBECONFIG": str(cls.server.kubeconfig)}, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, check=False)
        if (run.returncode != 0) != fails:
            raise AssertionError(f"kubectl {' '.join(map(str, arguments))}: exit {run.returncode}\n{run.stdout}")
        return run.stdout

    def function(self, name, spec="{artifact: {image: i}}"):
        self.addCleanup(self.api.send, "DELETE", f"{FUNCTIONS}/{name}", "")
        return self.api.create(FUNCTIONS, f"{HEAD}kind: Function\nmetadata: {{name: {name}}}\nspec: {spec}\n")

    def test_have_a_structural_schema(self):
        for kind in KINDS:
            crd = self.api.object(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}.mayfly.dev")
            states = {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]}
            self.assertEqual("True", states["NamesAccepted"])
            self.assertNotEqual("True", states.get("NonStructuralSchema", "False"))

    def test_refuse_wrong_manifests_in_words_that_mend_them(self):
        with open(ROOT / "operator" / "api" / "testdata" / "wrong_manifests.yaml", encoding="utf-8") as file:
            table = yaml.safe_load(file)
        rows = [row for row in table if "cluster" in row]
        self.assertGreaterEqual(len(rows), 100)
        for row in rows:
            with self.subTest(row["name"]):
                status, answer = self.api.try_create(FUNCTIONS, row["manifest"])
                self.assertIn(status, (400, 422), answer.get("message"))
                self.assertIn(row["cluster"], answer["message"])

    def test_refuse_wrong_pools_in_words_that_mend_them(self):
        rows = {
            "{size: -1}": 'spec.size: Invalid value: -1: spec.size in body should be greater than or equal to 0',
            "{size: 5, maxSize: 3}": "spec.size: Invalid value: is more than maxSize; raise maxSize or lower size",
            "{maxSize: 1}": "spec.size: Invalid value: is more than maxSize; raise maxSize or lower size",
            "{maxSize: 1001}": "spec.maxSize in body should be less than or equal to 1000",
            "{image: 'a b'}": 'spec.image: Invalid value: "a b": is not the name of an image',
            "{sise: 5}": 'strict decoding error: unknown field "spec.sise"',
            "{resources: {limits: {memory: 1Mi}}}": "memory is not a size from 16Mi to 4Ti",
            "{tolerations: [{}]}": "spec.tolerations[0]: Invalid value: key is missing",
            "{podLabels: {mayfly.dev/pool: a}}": "has a key of Mayfly's own",
        }
        for spec, sentence in rows.items():
            with self.subTest(spec):
                status, answer = self.api.try_create(
                    POOLS, f"{HEAD}kind: RuntimePool\nmetadata: {{name: p}}\nspec: {spec}\n")
                self.assertIn(status, (400, 422), answer.get("message"))
                self.assertIn(sentence, answer["message"])

    def test_accept_the_examples(self):
        examples = sorted((ROOT / "examples").glob("*/function.yaml"))
        self.assertGreaterEqual(len(examples), 5)
        for example in examples:
            self.assertIn("created", self.kubectl("apply", "--dry-run=server", "-f", example))

    def test_accept_all_that_a_manifest_may_hold(self):
        for path, name in ((FUNCTIONS, "whole_function"), (POOLS, "whole_pool")):
            with open(ROOT / "operator" / "api" / "testdata" / f"{name}.json", encoding="utf-8") as file:
                whole = json.load(file)
            self.addCleanup(self.api.send, "DELETE", f"{path}/whole", "")
            stored = self.api.create(path, json.dumps(whole))
            self.assertEqual(whole["spec"], stored["spec"], "nothing is pruned, and nothing is left to default")

    def test_fill_in_defaults(self):
        spec = self.function("least")["spec"]
        self.assertEqual({
            "artifact": {"image": "i"}, "concurrency": 10, "timeout": "60s", "limits": {"maxRequestBytes": "6Mi"},
            "scaling": {"minReplicas": 0, "maxReplicas": 20, "targetUtilization": 70, "scaleToZeroAfter": "60s"},
            "retry": {"maxAttempts": 3, "minBackoff": "1s", "maxBackoff": "5m", "maxAge": "6h"}}, spec)

    def test_keep_any_config(self):
        config = {"a": [1, 2.5, "x", {"b": None}], "deadLetter": True}
        self.assertEqual(config, self.function("config", json.dumps({"artifact": {"image": "i"}, "config": config}))["spec"]["config"])

    def test_scale_is_the_least_number_of_replicas(self):
        self.function("scaled")
        self.assertEqual(0, self.api.object(f"{FUNCTIONS}/scaled/scale")["spec"].get("replicas", 0))
        self.kubectl("scale", "fn/scaled", "--replicas=3")
        self.assertEqual(3, self.api.object(f"{FUNCTIONS}/scaled")["spec"]["scaling"]["minReplicas"])
        self.assertEqual(3, self.api.object(f"{FUNCTIONS}/scaled/scale")["spec"]["replicas"])
        self.assertIn("spec.scaling.minReplicas: Invalid value: is more than maxReplicas; raise maxReplicas or lower minReplicas",
                      self.kubectl("scale", "fn/scaled", "--replicas=30", fails=True))

    def test_status_is_written_apart_and_read_in_columns(self):
        before = self.function("stated")
        status = {"observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "desiredReplicas": 3, "revision": "0123456789",
                  "selector": "mayfly.dev/function=stated", "url": "http://example.com/stated",
                  "conditions": [{"type": "Ready", "status": "True", "reason": "Serving", "message": "It serves.",
                                  "observedGeneration": 1, "lastTransitionTime": "2026-03-01T12:00:00Z"}],
                  "scaling": {"desired": 3, "reason": "busy"}, "usage": {"invocations": 7, "wallMilliseconds": 8, "cpuMilliseconds": 9},
                  "lastFailure": {"time": "2026-03-01T12:00:00Z", "component": "runtime", "reason": "Crashed", "message": "m"}}
        patch = json.dumps({"status": status, "spec": {"concurrency": 99}})
        code, after = self.api.send("PATCH", f"{FUNCTIONS}/stated/status", patch, "application/merge-patch+json")
        self.assertEqual(200, code, after)
        self.assertEqual(status, after["status"])
        self.assertEqual(before["spec"], after["spec"])
        self.assertEqual(before["metadata"]["generation"], after["metadata"]["generation"])
        self.assertEqual("mayfly.dev/function=stated", self.api.object(f"{FUNCTIONS}/stated/scale")["status"]["selector"])
        head, row = (line.split() for line in self.kubectl("get", "fn", "stated", "-o", "wide").splitlines())
        self.assertEqual(["NAME", "READY", "REPLICAS", "DESIRED", "REVISION", "INVOCATIONS", "AGE", "URL", "BILLED", "REASON"], head)
        self.assertEqual(["stated", "True", "2", "3", "0123456789", "7"], row[:6])
        self.assertEqual(["http://example.com/stated", "8", "Serving"], row[7:])
        self.kubectl("wait", "--for=condition=Ready", "fn/stated", "--timeout=5s")

    def test_are_found_by_their_short_names_and_categories(self):
        self.function("found")
        self.assertIn("function.mayfly.dev/found", self.kubectl("get", "mayfly", "-o", "name"))
        self.assertIn("function.mayfly.dev/found", self.kubectl("get", "all", "-o", "name"))

    def test_explain_themselves(self):
        self.assertIn("How many invocations one replica runs at once", self.kubectl("explain", "fn.spec.concurrency"))
        self.assertIn("tolerationSeconds", self.kubectl("explain", "runtimepool.spec", "--recursive"))


class AsGoogleTest(unittest.TextTestResult):
    """A line for each test, as GoogleTest has it: `make e2e` counts those."""

    def startTest(self, test):
        self._begin, self._failed = time.monotonic(), len(self.failures) + len(self.errors)
        unittest.TestResult.startTest(self, test)

    def stopTest(self, test):
        super().stopTest(test)
        how = "      OK" if self._failed == len(self.failures) + len(self.errors) else "  FAILED"
        print(f"[ {how} ] {test.id().removeprefix('__main__.')} ({(time.monotonic() - self._begin) * 1000:.0f} ms)", flush=True)


if __name__ == "__main__":
    unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stdout, verbosity=0, resultclass=AsGoogleTest))
