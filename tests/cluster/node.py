"""One node: its namespaces, and the daemons that make it a node. What node_init.py does inside is asked for here."""

import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys

from cluster import cgroups, fabric, layout, node_config, owner, process, shell, tools, wait

INSIDE = pathlib.Path("/run/cluster")  # the cluster's folder, as the node sees it
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"


class Node:
    """Node `number` of the cluster whose state is in layout.STATE, whether it runs or not."""

    def __init__(self, number):
        self.number = number
        self.name = layout.node_name(number)
        self._socket = owner.RUN / f"{self.name}.sock"

    # The machine

    def running(self):
        return self.pid() is not None

    def pid(self):
        """The first process's, on the host; None if it does not run."""
        try:
            with self._connect(2) as connection:
                peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return None
        return struct.unpack("3i", peer)[0]

    def boot(self):
        """Namespaces, network and cgroups; no daemon yet. Goes on where one that was killed ended."""
        up = self.running()
        if not up:
            # Those of pods that were killed with the node would each hold a new kubelet up for seconds.
            cgroups.remove(layout.node_cgroup(self.number))
        cgroups.create(layout.node_cgroup(self.number))
        if not up:
            self._unshare()
        pid = wait.until(self.pid, 15, f"{self.name} is up; its log is {layout.LOGS}/{self.name}.log")
        cgroups.adopt(layout.node_cgroup(self.number), pid)
        fabric.plug_in(self.number, pid)
        self._ask({"do": "list"}, 15)

    def _unshare(self):
        self._socket.unlink(missing_ok=True)
        with open(layout.LOGS / f"{self.name}.log", "ab") as log:
            subprocess.Popen(
                ["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc",
                 "--propagation", "private", sys.executable, str(pathlib.Path(__file__).with_name("node_init.py")), self.name,
                 str(layout.STATE), str(tools.cache())],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, layout.MARK: str(layout.STATE)},
            )

    def kill(self):
        """As if the power were cut: every process of the node is gone when this returns."""
        pid = self.pid()
        if pid is None:
            return
        cgroups.freeze(layout.node_cgroup(self.number), False)
        os.kill(pid, signal.SIGKILL)
        wait.until(lambda: process.state(pid) in (None, "Z"), 20, f"{self.name} is gone")
        self._socket.unlink(missing_ok=True)

    def freeze(self):
        """Every process of it, pods too, stops where it is; its kernel still answers on the network."""
        cgroups.freeze(layout.node_cgroup(self.number), True)

    def thaw(self):
        cgroups.freeze(layout.node_cgroup(self.number), False)

    def cut_off(self):
        fabric.set_cable(self.number, False)

    def reconnect(self):
        fabric.set_cable(self.number, True)

    def run(self, *arguments, seconds=30, text_in=None):
        """The output of a command that runs on the node."""
        return shell.run("nsenter", "--all", "--target", self.pid(), "env", "PATH=/run/bin:" + os.environ["PATH"], *arguments,
                         seconds=seconds, text_in=text_in)

    # Its daemons

    def start(self, daemon):
        """Starts one again that was killed or stopped."""
        self._ask({"do": "start", "daemon": daemon}, 10)

    def stop(self, daemon):
        self._ask({"do": "stop", "daemon": daemon}, 20)

    def kill_daemon(self, daemon):
        self._ask({"do": "kill", "daemon": daemon}, 20)

    def freeze_daemon(self, daemon):
        self._ask({"do": "freeze", "daemon": daemon}, 10)

    def thaw_daemon(self, daemon):
        self._ask({"do": "thaw", "daemon": daemon}, 10)

    def daemons(self):
        """The names of those that run."""
        return self._ask({"do": "list"}, 10)["running"]

    def launch(self, program, arguments):
        """Starts a program of tools.tsv as a daemon, if it does not run."""
        log = f"{program}.log" if program in node_config.CONTROL_PLANE else f"{self.name}-{program}.log"
        self._ask({"do": "start", "daemon": program, "executable": f"/run/tools/{tools.providing(program).file}",
                   "arguments": [str(argument) for argument in arguments], "log": str(INSIDE / "log" / log)}, 10)

    def start_container_runtime(self, pause_archive):
        """containerd, with the image that holds each pod's namespaces."""
        self._write("containerd.toml", node_config.containerd(self.number, INSIDE))
        self._write("cni/10-pods.conflist", node_config.network(layout.node_pods(self.number)))
        self.launch("containerd", ["--config", INSIDE / self.name / "containerd.toml"])
        wait.until(lambda: self.ctr("version"), 30, f"containerd of {self.name} answers; its log is in {layout.LOGS}")
        if node_config.PAUSE not in self.images():
            self.load_image(pause_archive)

    def start_kubelet(self):
        inside = INSIDE / self.name
        self._write("kubelet.yaml", node_config.kubelet(self.number, INSIDE))
        self.launch("kubelet", ["--config", inside / "kubelet.yaml", "--kubeconfig", INSIDE / f"{self.name}.kubeconfig",
                                "--hostname-override", self.name, "--node-ip", layout.node_address(self.number)])
        self.launch("kube-proxy", ["--kubeconfig", INSIDE / "proxy.kubeconfig", "--proxy-mode", "nftables",
                                   "--hostname-override", self.name, "--cluster-cidr", layout.PODS,
                                   "--conntrack-max-per-core", "0"])

    # Its images

    def ctr(self, *arguments, seconds=60, text_in=None):
        return self.run("ctr", "--address", CONTAINERD_SOCKET, "--namespace", "k8s.io", *arguments, seconds=seconds,
                        text_in=text_in)

    def images(self):
        return self.ctr("images", "list", "--quiet").split()

    def load_image(self, archive):
        """An oci-archive, under the name that it carries."""
        with open(archive, "rb") as file:
            done = subprocess.run(
                ["nsenter", "--all", "--target", str(self.pid()), "/run/bin/ctr", "--address", CONTAINERD_SOCKET,
                 "--namespace", "k8s.io", "images", "import", "-"], stdin=file, capture_output=True, check=False, timeout=300)
        if done.returncode:
            raise RuntimeError(f"{self.name} does not take {archive}: {done.stderr.decode(errors='replace')[-1000:]}")

    # Between here and there

    def _write(self, name, text):
        path = layout.STATE / self.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _connect(self, seconds):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(seconds)
        try:
            connection.connect(str(self._socket))
        except OSError:
            connection.close()
            raise
        return connection

    def _ask(self, order, seconds):
        with self._connect(seconds) as connection, connection.makefile("rw", encoding="utf-8") as file:
            file.write(json.dumps(order) + "\n")
            file.flush()
            line = file.readline()
        if not line:
            raise RuntimeError(f"{self.name} gave no answer; its log is {layout.LOGS}/{self.name}.log")
        answer = json.loads(line)
        if not answer["ok"]:
            raise RuntimeError(f"{self.name}: {answer['error']}")
        return answer
