"""The NATS of the chart: JetStream that keeps what it has taken."""

import os
import signal
import time
import unittest

from cluster import layout, oci, shell, tools, wait
from e2e.jetstream import JetStream
from e2e.processes import processes_of
from e2e.release import CHART, HELLO, Release

# Users take the stock image; there is no public registry here, so this is made of the same release's Go module.
IMAGE = "localhost/nats:2.15.2"
MESSAGES = 5000


class Nats(Release):
    @classmethod
    def options(cls):
        archive = oci.write_archive(layout.STATE / "nats.tar", IMAGE,
                                    {"/nats-server": tools.executable("nats-server").read_bytes()}, ["/nats-server"])
        cls.cluster.load_image(archive)
        cls.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "nats"}, "stringData": {"token": "s3cret"}},
                          cls.namespace)
        # No StorageClass is here: the streams are in an emptyDir.
        return ["--set", "nats.enabled=true", "--set", f"nats.image={IMAGE}", "--set", "nats.storage.size=", "--set", "nats.tokenSecret=nats"]

    def server(self):
        pod, = self.pods("app.kubernetes.io/component=nats")
        return pod["status"]["podIP"]

    def test_keeps_what_it_acknowledged_when_it_is_killed(self):
        with JetStream(self.server(), auth_token="s3cret") as nats:
            nats.create_stream("KEPT", ["kept.>"])
            self.assertEqual([nats.publish("kept.a", f"{n}") for n in range(3)], [1, 2, 3])
        server, = processes_of(self.pods("app.kubernetes.io/component=nats")[0], "nats-server")
        os.kill(server, signal.SIGKILL)

        def messages():
            with JetStream(self.server(), auth_token="s3cret") as nats:
                return nats.stream("KEPT")["state"]["messages"]

        wait.until(lambda: messages() == 3, 60, "the three messages are there again", every=0.5)

    def test_takes_nobody_without_the_token(self):
        with self.assertRaisesRegex(RuntimeError, "Authorization Violation"):
            JetStream(self.server())

    def test_a_queue_brings_replicas_and_takes_them_away(self):
        with JetStream(self.server(), auth_token="s3cret") as nats:
            nats.create_stream("ORDERS", ["orders.>"])
            for number in range(MESSAGES):
                nats.publish("orders.new", str(number))
        head, _, _ = HELLO.partition("  triggers:")
        self.cluster.apply(head.replace("name: hello", "name: orders") + f"""  concurrency: 1
  scaling: {{maxReplicas: 3, scaleToZeroAfter: 2s}}
  triggers:
  - name: queue
    backlogPerReplica: 100
    nats:
      servers: [nats://mayfly-nats.{self.namespace}.svc:4222]
      stream: ORDERS
      credentials: {{secretName: nats}}
""", self.namespace)
        self.addCleanup(self.cluster.delete, "fn", "orders", self.namespace)
        begin = time.monotonic()
        wait.until(lambda: self.orders().get("status", {}).get("readyReplicas") == 3, 60, "three replicas work the backlog off", every=0.1)
        print(f"  three replicas after {time.monotonic() - begin:.1f} s", flush=True)
        said = self.kubectl("describe", "fn", "orders")
        self.assertRegex(said, r"from 1 to 3 replicas: \d+ events wait or are unsettled at trigger queue; one replica is for 100")
        wait.until(lambda: self.orders()["status"].get("usage", {}).get("invocations", 0) >= MESSAGES, 120, "each was delivered", every=0.5)
        self.await_no_pods("orders")
        with JetStream(self.server(), auth_token="s3cret") as nats:
            (consumer,) = nats.consumers("ORDERS")
        self.assertEqual((consumer["num_pending"], consumer["num_ack_pending"]), (0, 0))
        self.assertEqual(consumer["ack_floor"]["stream_seq"], MESSAGES)

    def orders(self):
        return self.cluster.get("fn", "orders", self.namespace)

    def test_is_told_of_in_the_notes(self):
        self.assertIn(f"nats://mayfly-nats.{self.namespace}.svc:4222", self.helm("get", "notes", "mayfly"))


class Templates(unittest.TestCase):
    """What nobody installs here: three servers, on volumes of a StorageClass."""

    def test_are_what_the_api_server_takes(self):
        helm = tools.executable("helm")
        for values in (["nats.replicas=3", "nats.tokenSecret=t", "nats.storage.className=fast"], ["nats.replicas=5", "nats.storage.size="],
                       ["networkPolicy.natsFrom[0].podSelector.matchLabels.app=shop", "networkPolicy.sourcesTo[0].ipBlock.cidr=10.0.0.0/8"]):
            with self.subTest(values):
                text = shell.run(helm, "template", "mayfly", CHART, "--namespace", "default", "--set", "crds.install=false,nats.enabled=true",
                                 *[word for value in values for word in ("--set", value)])
                shell.run(layout.BIN / "kubectl", "--kubeconfig", layout.KUBECONFIG, "apply", "--dry-run=server", "--validate=strict", "-f", "-",
                          text_in=text, seconds=60)

    def test_refuse_two_servers(self):
        with self.assertRaisesRegex(shell.Failed, "nats.replicas|/nats/replicas"):
            shell.run(tools.executable("helm"), "template", "mayfly", CHART, "--set", "nats.enabled=true,nats.replicas=2")


if __name__ == "__main__":
    unittest.main()
