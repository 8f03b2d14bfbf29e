"""TLS with certificates that somebody else makes, cert-manager for instance: Secrets that are there before the release."""

import pathlib
import re
import tempfile
import unittest
import urllib.request

from cluster import shell, wait
from e2e.release import Load, Release, get

# How long a kubelet may take to bring a changed Secret to a pod.
SPREAD = 150


class Authority:
    """Of this test, by openssl."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=an authority", "-days", "30",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", "ca.key", "-out", "ca.crt")

    def run(self, *arguments):
        arguments = [str(self.folder / each) if each.endswith((".key", ".crt", ".csr", ".ext")) else each for each in arguments]
        return shell.run("openssl", *arguments)

    def issue(self, name, usages, days):
        """A Secret of kubernetes.io/tls for `name`, as its data in files' names."""
        (self.folder / "of.ext").write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage={usages}\nkeyUsage=digitalSignature\n")
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/", "-keyout", "of.key", "-out", "of.csr")
        self.run("x509", "-req", "-in", "of.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-CAserial", "serial.ext", "-days",
                 str(days), "-extfile", "of.ext", "-out", "of.crt")
        return {"tls.crt": (self.folder / "of.crt").read_text(), "tls.key": (self.folder / "of.key").read_text(),
                "ca.crt": (self.folder / "ca.crt").read_text()}


class GivenCertificates(Release):
    @classmethod
    def options(cls):
        cls.authority = Authority(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.issue_all(days=1)
        return ["--set", "tls.existingSecrets.operator=of-operators,tls.existingSecrets.gateway=of-gateways,"
                "tls.existingSecrets.runtime=of-runtimes", "--set", "operator.readSecrets=false"]

    @classmethod
    def issue_all(cls, days):
        for secret, name, usages in (("of-operators", "operator.mayfly.internal", "serverAuth,clientAuth"),
                                     ("of-gateways", "gateway.mayfly.internal", "clientAuth"),
                                     ("of-runtimes", f"{cls.namespace}.runtime.mayfly.internal", "serverAuth")):
            cls.cluster.apply({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": secret},
                               "stringData": cls.authority.issue(name, usages, days)}, cls.namespace)

    def expirations(self):
        """{pod: when the certificate that it shows expires}"""
        found = {}
        for pod in self.pods("app.kubernetes.io/component in (operator,gateway,runtime)"):
            with urllib.request.urlopen(f"http://{pod['status']['podIP']}:9090/metrics", timeout=10) as answer:
                said = re.search(r"^mayfly_tls_certificate_expiration_timestamp_seconds (\S+)", answer.read().decode(), re.M)
            if said:  # an operator that does not lead shows none
                found[pod["metadata"]["name"]] = float(said.group(1))
        return found

    def test_are_what_all_parts_speak_with_and_their_renewal_fails_no_request(self):
        self.serve("given", scaling="{minReplicas: 1}")
        self.assertEqual(get(self.gateway, "/given")[0], 200)
        self.assertEqual(self.kubectl("get", "secret", "--output", "name", "--selector", "app.kubernetes.io/part-of=mayfly").strip(), "")
        before = self.expirations()
        self.assertGreaterEqual(len(before), 4)  # the leader, two gateways, a replica
        with Load(self.gateway, "/given") as load:
            load.await_more(20)
            self.issue_all(days=20)
            wait.until(lambda: all(when > max(before.values()) for when in self.expirations().values()), SPREAD,
                       "every process shows its new certificate", every=1)
            load.await_more(20)
            self.kubectl("delete", "pod", self.leader(), "--grace-period=0", "--force")  # new connections, with the new ones
            load.await_more(200)
        self.assertEqual(load.failed, [])
        self.await_ready("operator")
        print(f"  {load.answered} requests were answered, none failed", flush=True)

    def test_need_no_right_on_any_secret(self):
        for verb in ("get", "list", "create", "patch"):
            with self.subTest(verb), self.assertRaises(shell.Failed):
                self.kubectl("auth", "can-i", verb, "secrets", "--as", f"system:serviceaccount:{self.namespace}:mayfly-operator")


if __name__ == "__main__":
    unittest.main()
