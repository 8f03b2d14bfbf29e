"""An installed Mayfly to measure, and what parts do with it: load, bare pods to compare with, and what its processes occupy."""

import json
import pathlib
import subprocess
import sys
import time

from cluster import wait
from cluster.testing import has_condition
from e2e.case import PROBE
from e2e.release import Release, get
from harness.process import memory, processes_named


class Installed(Release):
    """A release to measure: as a context, installed inside and gone afterwards."""

    def __enter__(self):
        self.setUpClass()
        return self

    def __exit__(self, *_):
        self.doCleanups()
        self.doClassCleanups()

    def await_object(self, path, met):
        wait.until(lambda: met(self.cluster.api.object(path) or {}), 60, f"{path} is ready", every=0.01)

    def operator_metrics(self):
        """What all operators that run serve at /metrics, one after the other."""
        texts = []
        for pod in self.pods("app.kubernetes.io/component=operator"):
            path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}:9090/proxy/metrics"
            status, text = self.cluster.api.get(path)
            if status != 200:
                raise RuntimeError(f"GET {path}: {status} {text[:300]}")
            texts.append(text)
        return "\n".join(texts)


def bare_pod(installed, name):
    """Seconds from the writing of a pod of one small image to Ready. It is gone afterwards."""
    # In another namespace, as its Pod Security would refuse it in the functions'.
    pods = "/api/v1/namespaces/default/pods"
    begin = time.monotonic()
    installed.cluster.api.create(pods, {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "probe", "image": PROBE, "imagePullPolicy": "IfNotPresent"}], "terminationGracePeriodSeconds": 1},
    })
    installed.await_object(f"{pods}/{name}", lambda found: has_condition(found, "Ready"))
    took = time.monotonic() - begin
    installed.cluster.delete("pod", name, "default")
    return took


def scale_operators(installed, replicas):
    installed.kubectl("scale", "deployment", "mayfly-operator", f"--replicas={replicas}")
    selector = "app.kubernetes.io/component=operator"
    wait.until(lambda: len(installed.pods(selector)) == replicas, 60, f"{replicas} operators run")


def await_answer(installed, path):
    """Until a replica serves: none can be started while what starts it is away."""
    wait.until(lambda: get(installed.gateway, path)[0] == 200, 60, f"{path} answers", every=0.1)


def hello(name, **spec):
    """The example hello as an object, at /NAME; `spec`: fields beside those that it has."""
    return {
        "apiVersion": "mayfly.dev/v1alpha1", "kind": "Function", "metadata": {"name": name},
        "spec": {"artifact": {"path": "../../build/release/examples/hello.so"}, "timeout": "10s",
                 "triggers": [{"name": "http", "http": {"path": f"/{name}", "methods": ["GET", "POST"]}}], **spec},
    }


def functions_of(installed):
    """The path of all Functions of the namespace."""
    return f"/apis/mayfly.dev/v1alpha1/namespaces/{installed.namespace}/functions"


def failed_of(result):
    return result["failed"] + result["socket_errors"]


class Driver:
    """wrk on some connections in a process of its own, for so many seconds; `result()` waits for its end."""

    def __init__(self, url, seconds, connections=4):
        code = f"import json, sys; sys.path.insert(0, {str(pathlib.Path(__file__).parents[1])!r}); from harness import wrk; " \
               f"print(json.dumps(wrk.load({url!r}, {seconds}, connections={connections}, threads=1)))"
        self._limit = seconds + 60
        self._child = subprocess.Popen([sys.executable, "-B", "-c", code], stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        self._child.stdout.close()

    def result(self):
        return json.loads(self._child.communicate(timeout=self._limit)[0])


def resident_mb(program):
    """Of every process of that name."""
    return [found["rss"] for found in map(memory, processes_named(program)) if found]
