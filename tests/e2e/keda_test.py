"""The external scaler, as KEDA calls it: gRPC with TLS on both sides, against the operator that leads."""

import json
import pathlib
import subprocess
import tempfile
import unittest

from cluster import layout, tools, wait
from e2e.given_certificates_test import Authority
from e2e.release import Release, get

PROTO = layout.ROOT / "proto"
CLIENT = "keda.mayfly.internal"


class Keda(Release):
    @classmethod
    def options(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        authority = Authority(cls.folder)
        cls.server = f"mayfly-external-scaler.{cls.namespace}.svc"
        cls.cluster.apply({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "for-keda"},
                           "stringData": authority.issue(cls.server, "serverAuth", 1)}, cls.namespace)
        for name, peer in (("keda", CLIENT), ("other", "somebody.else")):
            for file, text in authority.issue(peer, "clientAuth", 1).items():
                (cls.folder / f"{name}-{file}").write_text(text)
        return ["--set", "operator.externalScaler.tlsSecret=for-keda"]

    def ask(self, method, request, client="keda"):
        """grpcurl's exit code and what it says."""
        address = self.cluster.get("pod", self.leader(), self.namespace)["status"]["podIP"]
        identity = [] if client is None else ["-cert", self.folder / f"{client}-tls.crt", "-key", self.folder / f"{client}-tls.key"]
        run = subprocess.run([tools.executable("grpcurl"), "-import-path", PROTO, "-proto", "externalscaler/externalscaler.proto",
                              "-emit-defaults", "-cacert", self.folder / "keda-ca.crt", *identity, "-authority", self.server, "-max-time", "10",
                              "-connect-timeout", "10", "-d", json.dumps(request), f"{address}:9444", f"externalscaler.ExternalScaler/{method}"],
                             capture_output=True, text=True, check=False, timeout=60)
        return run.returncode, run.stdout + run.stderr

    def answer(self, method, request):
        code, said = self.ask(method, request)
        self.assertEqual(code, 0, said)
        return json.loads(said)

    def test_answers_from_the_demand_that_decisions_are_made_from(self):
        self.serve("asked", scaling="{maxReplicas: 4, targetUtilization: 50, scaleToZeroAfter: 20s}", concurrency="4")
        ref = {"name": "of-asked", "namespace": self.namespace, "scalerMetadata": {"function": "asked"}}
        self.assertEqual(self.answer("IsActive", ref), {"result": False})
        specs = self.answer("GetMetricSpec", ref)["metricSpecs"]
        self.assertEqual([(each["metricName"], each["targetSizeFloat"]) for each in specs], [("concurrency", 2)])
        value = self.answer("GetMetrics", {"scaledObjectRef": ref, "metricName": "concurrency"})
        self.assertEqual(value["metricValues"][0]["metricValueFloat"], 0)
        self.assertEqual(get(self.gateway, "/asked")[0], 200)
        self.assertEqual(self.answer("IsActive", ref), {"result": True})
        wait.until(lambda: self.answer("IsActive", ref) == {"result": False}, 60, "it is active no more", every=1)

    def test_what_keda_writes_is_a_floor_and_no_reason_to_be_active(self):
        self.serve("floored", scaling="{maxReplicas: 4, scaleToZeroAfter: 1s}")
        self.kubectl("scale", "fn/floored", "--replicas=2")  # as KEDA's HPA does
        self.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=2", "fn/floored", "--timeout=60s", seconds=65)
        ref = {"name": "floored", "namespace": self.namespace}
        self.assertEqual(self.answer("IsActive", ref), {"result": False})
        self.kubectl("scale", "fn/floored", "--replicas=0")
        self.kubectl("wait", "--for=jsonpath={.status.desiredReplicas}=0", "fn/floored", "--timeout=60s", seconds=65)

    def test_nobody_else_is_answered(self):
        ref = {"name": "nobody", "namespace": self.namespace}
        code, said = self.ask("IsActive", ref)
        self.assertNotEqual(code, 0)
        self.assertIn("there is no Function", said)
        for client in (None, "other"):
            code, said = self.ask("IsActive", ref, client)
            self.assertNotEqual(code, 0)
            self.assertNotIn("there is no Function", said)


if __name__ == "__main__":
    unittest.main()
