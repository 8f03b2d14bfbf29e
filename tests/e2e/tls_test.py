"""TLS between the parts of an installed Mayfly: who is refused, and certificates and authorities that change under load."""

import base64
import json
import re
import socket
import ssl
import tempfile
import unittest

from cluster import layout, shell, tools, wait
from e2e.release import CHART, Load, Release, get

# How long a kubelet takes to bring a changed Secret to a pod: one look a minute, and its own jitter.
SPREAD = 100


class Tls(Release):
    def secret(self, name):
        data = self.cluster.get("secret", name, self.namespace)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def dial(self, address, port, credentials=None):
        """What comes of a TLS connection and a read on it: "" if the peer took it, or why it did not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        if credentials:
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(credentials["tls.key"] + credentials["tls.crt"])
                file.flush()
                context.load_cert_chain(file.name)
        try:
            with socket.create_connection((address, port), 10) as plain, context.wrap_socket(plain) as secure:
                secure.settimeout(5)
                # The preface of HTTP/2 and empty settings: a server answers with its own.
                secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
                return "" if secure.recv(9) else "closed"
        except OSError as error:
            return repr(error)

    def dial_plainly(self, address, port):
        """The answer to gRPC without TLS, b"" if there is none."""
        with socket.create_connection((address, port), 10) as plain:
            plain.settimeout(5)
            plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
            try:
                return plain.recv(9)
            except OSError:
                return b""

    def targets(self):
        """(what, address, port) of what listens: the operator that leads, and a pod of a Function."""
        leader = self.cluster.get("pod", self.leader(), self.namespace)
        replica = self.pods("app.kubernetes.io/component=runtime")[0]
        return [("operator", leader["status"]["podIP"], 9443), ("runtime", replica["status"]["podIP"], 9000)]

    def test_who_has_no_certificate_or_a_wrong_one_is_refused(self):
        self.serve("guarded", scaling="{minReplicas: 1}")
        self.assertEqual(get(self.gateway, "/guarded")[0], 200)
        gateway, runtime = self.secret("mayfly-gateway-tls"), self.secret("mayfly-runtime-tls")
        with tempfile.TemporaryDirectory() as folder:
            shell.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
                      "-addext", "subjectAltName=DNS:gateway.mayfly.internal", "-keyout", f"{folder}/key", "-out", f"{folder}/crt")
            foreign = {"tls.key": open(f"{folder}/key").read(), "tls.crt": open(f"{folder}/crt").read()}
        for what, address, port in self.targets():
            with self.subTest(what):
                # A server without TLS would answer with its settings frame, of type 4.
                self.assertNotEqual(self.dial_plainly(address, port)[3:4], b"\4")
                self.assertEqual(self.dial(address, port, gateway), "")
                for wrong in (None, runtime, foreign):
                    self.assertNotEqual(self.dial(address, port, wrong), "")

    def test_certificates_and_the_authority_change_under_load_and_no_request_fails(self):
        self.serve("steady", scaling="{minReplicas: 1}")
        self.helm("upgrade", "mayfly", CHART, "--wait", "--reuse-values", "--set", f"tls.spreadSeconds={SPREAD}")
        wait.until(lambda: get(self.gateway, "/steady")[0] == 200, 30, "the function answers")
        before = {name: self.secret(name) for name in ("mayfly-authority", "mayfly-gateway-tls", "mayfly-runtime-tls")}
        with Load(self.gateway, "/steady") as load:
            load.await_more(20)
            self.kubectl("annotate", "secret", "mayfly-authority", "mayfly.dev/rotate=leaked")

            def rotated():
                now = self.secret("mayfly-authority")
                return now["ca.crt"] != before["mayfly-authority"]["ca.crt"] and not now.get("going.crt")

            wait.until(rotated, 3 * SPREAD, "another authority signs, and the first is forgotten", every=1)
            load.await_more(20)
            # New connections, with the new certificates: another operator, which dials the pods, and which gateways dial.
            self.kubectl("delete", "pod", self.leader(), "--grace-period=0", "--force")
            load.await_more(200)
        self.assertEqual(load.failed, [])
        print(f"  {load.answered} requests were answered, none failed", flush=True)
        for name in ("mayfly-gateway-tls", "mayfly-runtime-tls"):
            self.assertEqual(self.secret(name)["ca.crt"], self.secret("mayfly-authority")["ca.crt"])
            self.assertNotEqual(self.secret(name)["tls.crt"], before[name]["tls.crt"])
        self.await_ready("operator")


class Policies(unittest.TestCase):
    """The cluster's network plugin enforces no policies: that they say what is meant is all that can be tested."""

    def test_cover_each_port_of_each_pod_as_intended(self):
        text = shell.run(tools.executable("helm"), "template", "mayfly", CHART, "--namespace", "system",
                         "--set", "networkPolicy.functionNamespaces={photos},nats.enabled=true")
        kubectl = shell.run(layout.BIN / "kubectl", "--kubeconfig", layout.KUBECONFIG, "create", "--dry-run=client", "--validate=ignore", "--output", "json", "-f", "-",
                            text_in="---\n".join(part for part in text.split("---\n") if re.search(r"^kind: (NetworkPolicy|Deployment|StatefulSet)$", part, re.M)))
        decoder, found = json.JSONDecoder(), []
        while kubectl.strip():
            item, end = decoder.raw_decode(kubectl := kubectl.lstrip())
            found += item.get("items", [item])
            kubectl = kubectl[end:]
        policies = {(p["metadata"]["namespace"], p["metadata"]["name"]): p["spec"] for p in found if p["kind"] == "NetworkPolicy"}
        self.assertEqual(sorted(policies), [("photos", "mayfly-functions"), ("system", "mayfly-functions"),
                                            ("system", "mayfly-gateway"), ("system", "mayfly-nats"), ("system", "mayfly-operator")])
        callers = {}  # (policy, port): who may
        for (space, name), spec in policies.items():
            self.assertIn("Ingress", spec["policyTypes"])
            for rule in spec["ingress"]:
                for port in rule["ports"]:
                    callers[space, name, port["port"]] = [
                        {**peer.get("podSelector", {}).get("matchLabels", {}),
                         **peer.get("namespaceSelector", {}).get("matchLabels", {})} for peer in rule.get("from", [])]
        ours = {"app.kubernetes.io/name": "mayfly", "app.kubernetes.io/instance": "mayfly"}
        self.assertEqual(callers, {
            ("system", "mayfly-operator", "control"): [{**ours, "app.kubernetes.io/component": "gateway"}],
            ("system", "mayfly-operator", "metrics"): [],
            ("system", "mayfly-gateway", "http"): [],
            ("system", "mayfly-gateway", "metrics"): [],
            ("system", "mayfly-nats", "client"): [],
            ("system", "mayfly-nats", 6222): [{**ours, "app.kubernetes.io/component": "nats"}],
            ("system", "mayfly-nats", "monitor"): [],
            **{(space, "mayfly-functions", port): peers for space in ("photos", "system") for port, peers in
               {"grpc": [{**ours, "kubernetes.io/metadata.name": "system"}], "metrics": []}.items()},
        })
        for deployment in (d for d in found if d["kind"] in ("Deployment", "StatefulSet")):
            name, template = deployment["metadata"]["name"], deployment["spec"]["template"]
            selector = policies["system", name]["podSelector"]["matchLabels"]
            self.assertLessEqual(selector.items(), template["metadata"]["labels"].items())
            for port in template["spec"]["containers"][0]["ports"]:
                self.assertIn(("system", name, port["name"]), callers)


if __name__ == "__main__":
    unittest.main()
