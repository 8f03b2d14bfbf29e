"""What a test does with the cluster that runs: apply, look, wait, and break parts of it. Every call has a deadline."""

import contextlib
import json
import pathlib
import time

from cluster import layout, lifecycle, shell, tools, wait
from cluster.api import Api


class Cluster:
    """The cluster of this checkout, which must be up."""

    def __init__(self):
        self.nodes = lifecycle.running_nodes()
        self.api = Api(layout.KUBECONFIG)

    def kubectl(self, *arguments, seconds=30, text_in=None):
        """What it prints. Raises shell.Failed, with its own words, if it refuses."""
        return shell.run(layout.BIN / "kubectl", "--kubeconfig", layout.KUBECONFIG, *arguments, seconds=seconds, text_in=text_in)

    def helm(self, *arguments, seconds=120):
        return shell.run(tools.executable("helm"), "--kubeconfig", layout.KUBECONFIG, *arguments, seconds=seconds)

    # Objects

    def apply(self, what, namespace=None, seconds=30):
        """`what`: an object, a list of them, YAML text, or the path of a file."""
        options = ["--namespace", namespace] if namespace else []
        if isinstance(what, pathlib.Path):
            return self.kubectl("apply", *options, "-f", what, seconds=seconds)
        if isinstance(what, list):
            what = {"apiVersion": "v1", "kind": "List", "items": what}
        text = what if isinstance(what, str) else json.dumps(what)
        return self.kubectl("apply", *options, "-f", "-", seconds=seconds, text_in=text)

    def delete(self, kind, name, namespace=None, seconds=60):
        """Returns once it is gone. It need not be there."""
        options = ["--namespace", namespace] if namespace else []
        self.kubectl("delete", kind, name, *options, "--ignore-not-found", f"--timeout={seconds}s", seconds=seconds + 5)

    def get(self, kind, name, namespace=None):
        """The object; None if there is none."""
        options = ["--namespace", namespace] if namespace else []
        text = self.kubectl("get", kind, name, *options, "--ignore-not-found", "--output", "json")
        return json.loads(text) if text.strip() else None

    def list(self, kind, namespace=None, selector=None):
        options = ["--namespace", namespace] if namespace else []
        options += ["--selector", selector] if selector else []
        return json.loads(self.kubectl("get", kind, *options, "--output", "json"))["items"]

    def wait_for(self, kind, name, condition, namespace=None, seconds=60):
        """`condition`: "Ready" for status.conditions, or a function of the object. Returns the object that met it."""

        def met():
            found = self.get(kind, name, namespace)
            if found is None:
                return None
            ok = has_condition(found, condition) if isinstance(condition, str) else condition(found)
            return found if ok else None

        what = condition if isinstance(condition, str) else (condition.__doc__ or "as the test wants it")
        return wait.until(met, seconds, f"{kind} {name} is {what}", every=0.1)

    def events(self, namespace, about=None):
        """"REASON: message" of each event in a namespace, the oldest first; `about`: only those of the object of this name."""
        found = self.list("events", namespace)
        found.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        return [f"{event['reason']}: {event['message']}" for event in found
                if about in (None, event["involvedObject"]["name"])]

    @contextlib.contextmanager
    def namespace(self, prefix):
        """A namespace of one's own, deleted at the end."""
        name = f"{prefix}-{time.time_ns() // 1000000 % 10**8}"
        self.kubectl("create", "namespace", name)
        try:
            wait.until(lambda: self.api.object(f"/api/v1/namespaces/{name}/serviceaccounts/default"), 30,
                       f"the namespace {name} has its service account")
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")

    # Pods

    def logs(self, pod, namespace, *arguments):
        return self.kubectl("logs", pod, "--namespace", namespace, *arguments)

    def exec(self, pod, namespace, *command, seconds=30):
        return self.kubectl("exec", pod, "--namespace", namespace, "--", *command, seconds=seconds)

    def load_image(self, archive):
        for node in self.nodes:
            node.load_image(archive)

    # Faults. A node's own are in node.Node: cut_off, reconnect, freeze, thaw, kill; kill_daemon, freeze_daemon, start …

    @property
    def control_plane(self):
        """The node that etcd, kube-apiserver, kube-controller-manager, kube-scheduler and coredns are daemons of."""
        return self.nodes[0]

    def wait_until_ready(self, node, seconds=60):
        self.wait_for("node", node.name, "Ready", seconds=seconds)

    def wait_until_not_ready(self, node, seconds=60):
        def lost(found):
            """NotReady"""
            return not has_condition(found, "Ready")

        self.wait_for("node", node.name, lost, seconds=seconds)

    def start_again(self):
        """Boots nodes that were killed, starts daemons that were; returns once all is Ready."""
        lifecycle.up(len(self.nodes))

    def start_api_server(self, seconds=60):
        """After it, or etcd, was killed."""
        for daemon in ("etcd", "kube-apiserver"):
            self.control_plane.start(daemon)
        wait.until(self.api.ready, seconds, f"the API server is ready; its log is in {layout.LOGS}")


def has_condition(found, kind):
    conditions = found.get("status", {}).get("conditions", [])
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)
