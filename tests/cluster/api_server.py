"""etcd and an API server alone, on free ports and in a folder of their own: what a test of a client needs.

No kubelet, so pods stay Pending; without `controllers`, nobody collects garbage or fills namespaces either. Many may
run at once, by any user. They die with the process that made them.
"""

import fcntl
import json
import os
import pathlib
import shutil
import tempfile
import urllib.request

from cluster import control_plane, pki, ports, tools, wait
from cluster.api import Api
from cluster.process import Daemon, Ended

PREFIX = "mayfly-apiserver."
SERVICES = "10.0.0.0/24"


class ApiServer:
    """Ready when the constructor returns. Use as a context: it is gone, its folder too, at the end."""

    def __init__(self, controllers=False, seconds=60, attempts=3):
        _remove_left_over()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = _hold(self.folder)
        self.daemons = {}
        try:
            for attempt in range(1, attempts + 1):
                try:
                    self._start(controllers, seconds)
                    return
                except Ended:  # its port may have been taken meanwhile
                    self._kill()
                    if attempt == attempts:
                        raise
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _start(self, controllers, seconds):
        etcd_port, peer_port, port, controllers_port = ports.free(4)
        authority = pki.Authority(self.folder / "pki")
        authority.issue("apiserver", "/CN=kube-apiserver", ["DNS:localhost", "DNS:kubernetes.default.svc", "IP:127.0.0.1"])
        authority.issue("admin", "/O=system:masters/CN=admin")
        self.url = f"https://127.0.0.1:{port}"
        self.kubeconfig = authority.write_kubeconfig(self.folder / "kubeconfig", "admin", self.url)
        self._etcd_port = etcd_port

        shutil.rmtree(self.folder / "etcd", ignore_errors=True)
        self._add("etcd", control_plane.etcd(self.folder / "etcd", etcd_port, peer_port))
        # The kubernetes service would be the address of every pod's API server; here are no pods.
        self._add("kube-apiserver", control_plane.apiserver(authority, etcd_port, port, SERVICES) + [
            "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none",
            # Without controllers, no namespace gets the service account that this would ask of each pod.
            *([] if controllers else ["--disable-admission-plugins", "ServiceAccount"]),
        ])
        self._wait(seconds)
        if controllers:
            authority.issue("controllers", "/CN=system:kube-controller-manager")
            kubeconfig = authority.write_kubeconfig(self.folder / "controllers.kubeconfig", "controllers", self.url)
            self._add("kube-controller-manager", control_plane.controller_manager(authority, kubeconfig) + [
                "--bind-address", "127.0.0.1", "--secure-port", controllers_port])
            wait.until(lambda: Api(self.kubeconfig).object("/api/v1/namespaces/default/serviceaccounts/default"), seconds,
                       "the controllers make a service account")

    def _add(self, name, arguments):
        daemon = Daemon(name, tools.executable(name), arguments, self.folder / f"{name}.log")
        self.daemons[name] = daemon
        daemon.start()

    def _wait(self, seconds):
        api = Api(self.kubeconfig)

        def ready():
            for daemon in self.daemons.values():
                daemon.check()
            return api.ready()

        wait.until(ready, seconds, f"the API server at {self.url} is ready; its log is {self.folder}/kube-apiserver.log")

    def start(self, name, seconds=60):
        """Starts a daemon that was stopped or killed; waits until all answer again."""
        self.daemons[name].start()
        self._wait(seconds)

    def compact(self):
        """Forgets etcd's history, so that a watch from before gets 410 Gone."""
        revision = int(self._etcd("kv/range", {"key": "AA=="})["header"]["revision"])
        self._etcd("kv/compaction", {"revision": revision, "physical": True})

    def _etcd(self, path, question):
        request = urllib.request.Request(f"http://127.0.0.1:{self._etcd_port}/v3/{path}", json.dumps(question).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def _kill(self):
        for daemon in reversed(self.daemons.values()):
            daemon.kill()
        self.daemons.clear()

    def stop(self):
        """Kills them: nobody needs what they stored."""
        self._kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def _hold(folder):
    """Marks the folder as in use for as long as this process lives."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _remove_left_over():
    """Folders of those who were killed: nobody holds them any more."""
    for folder in pathlib.Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (folder / "pki").exists():  # one that is just being made has none yet
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass
        finally:
            os.close(lock)
