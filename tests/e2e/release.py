"""What tests of an installed Mayfly share: a release, load on its gateway, and what clients noticed."""

import http.client
import subprocess
import sys
import threading
import time

from cluster import layout, wait
from e2e.case import ClusterCase

CHART = layout.ROOT / "charts" / "mayfly"
HELLO = (layout.ROOT / "examples" / "hello" / "function.yaml").read_text()


# A closed connection keeps its port for a minute, and there are 28,000 of them to one address.
PACE = 0.004


class Load:
    """One request after the other, each over a connection of its own, 250 a second at most, until it is told to end; on a thread."""

    def __init__(self, address, path, seconds=30):
        self.answered, self.failed = 0, []
        self._address, self._path, self._seconds = address, path, seconds
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
        try:
            wait.until(lambda: self.answered >= until, seconds, f"{count} more requests are answered")
        except TimeoutError as error:
            raise TimeoutError(f"{error}; {len(self.failed)} failed, the last of them: {self.failed[-3:]}") from error

    def run_for(self, seconds):
        self._ends.wait(seconds)

    def _run(self):
        while not self._ends.is_set():
            begin = time.monotonic()
            try:
                status, body = get(self._address, self._path, self._seconds)
            except OSError as error:
                status, body = 0, repr(error)
            if status == 200:
                self.answered += 1
            else:
                self.failed.append(f"{status} {body} after {time.monotonic() - begin:.1f} s")
            self._ends.wait(begin + PACE - time.monotonic())


def get(address, path, seconds=30):
    """(status, body) of a GET from HOST or HOST:PORT, over a connection of its own."""
    connection = http.client.HTTPConnection(address, timeout=seconds)
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
        cls.helm("install", "mayfly", CHART, "--wait", "--timeout", "120s", "--take-ownership", *cls.options())
        print(f"  helm install --wait took {time.monotonic() - begin:.1f} s", flush=True)
        cls.addClassCleanup(cls.uninstall)
        service = cls.cluster.get("service", "mayfly-gateway", cls.namespace)
        cls.gateway = service["spec"]["clusterIP"]

    @classmethod
    def options(cls):
        """What the class wants of `helm install` beside the defaults; and what must be there before."""
        return []

    @classmethod
    def helm(cls, verb, *arguments):
        return cls.cluster.helm(verb, *arguments, "--namespace", cls.namespace, seconds=180)

    @classmethod
    def uninstall(cls):
        cls.helm("uninstall", "mayfly", "--wait")
        for crd in ("functions.mayfly.dev", "runtimepools.mayfly.dev"):
            cls.cluster.kubectl("delete", "crd", crd, "--ignore-not-found", "--wait=false")
            wait.until(lambda crd=crd: cls.gone(crd), 60, f"the CRD {crd} is gone", every=1)

    @classmethod
    def gone(cls, crd):
        """Whether it is. The API server's finalizer may fail with "storage is (re)initializing", and may then not look again
        before the CRD changes: so it is changed."""
        if not cls.cluster.kubectl("get", "crd", crd, "--ignore-not-found", "--output=name").strip():
            return True
        cls.cluster.kubectl("annotate", "crd", crd, "--overwrite", f"mayfly.dev/looked-at={time.monotonic()}")
        return False

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
