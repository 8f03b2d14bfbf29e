"""Mayfly on a real Kubernetes: from apply to Ready, 1,000 Functions, and what clients notice when parts end."""

import json
import os
import pathlib
import subprocess
import sys
import time

from cluster import wait
from cluster.testing import has_condition
from e2e.case import PROBE
from e2e.release import HELLO, Release, get
from harness.figures import median
from harness.pooled_part import pooled

FUNCTIONS = 1_000
STARTS = 10
OUTAGE_SECONDS = 60


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


def start(installed, figures):
    """(a) from apply to serving, beside a bare pod from apply to Ready, alternating."""
    bare, served = [], []
    for number in range(STARTS):
        # In another namespace, as its Pod Security would refuse it in the functions'.
        begin = time.monotonic()
        installed.cluster.apply({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"bare-{number}"},
            "spec": {"containers": [{"name": "probe", "image": PROBE, "imagePullPolicy": "IfNotPresent"}], "terminationGracePeriodSeconds": 1},
        }, "default")
        installed.await_object(f"/api/v1/namespaces/default/pods/bare-{number}", lambda found: has_condition(found, "Ready"))
        bare.append(time.monotonic() - begin)
        begin = time.monotonic()
        installed.cluster.apply(hello(f"first-{number}") + "  scaling: {minReplicas: 1}\n", installed.namespace)
        installed.await_object(f"/apis/mayfly.dev/v1alpha1/namespaces/{installed.namespace}/functions/first-{number}",
                               lambda found: found.get("status", {}).get("readyReplicas", 0) >= 1)
        served.append(time.monotonic() - begin)
        installed.cluster.delete("fn", f"first-{number}", installed.namespace)
        installed.cluster.delete("pod", f"bare-{number}", "default")
    figures.add("apply_to_ready_over_pod_start", median(served) / median(bare))
    figures.add("apply_to_ready_p50_s", median(served), "s")
    figures.add("pod_start_p50_s", median(bare), "s")


def reconcile(installed, figures):
    """(b) 1,000 Functions that no operator has seen: from its start until every one is Ready; what it occupies then."""
    functions = f"/apis/mayfly.dev/v1alpha1/namespaces/{installed.namespace}/functions"
    scale_operators(installed, 0)
    installed.cluster.apply("---\n".join(hello(f"many-{number}") for number in range(FUNCTIONS)), installed.namespace, seconds=300)
    begin = time.monotonic()
    scale_operators(installed, 2)

    def ready():
        return sum(has_condition(function, "Ready") for function in installed.cluster.api.object(functions)["items"])

    wait.until(lambda: ready() == FUNCTIONS, 120, f"{FUNCTIONS} Functions are Ready", every=0.2)
    figures.add("reconcile_1000_s", time.monotonic() - begin)
    figures.add("operator_rss_mb_1000", max(resident_mb("mayfly-operator")))
    installed.kubectl("delete", "--raw", functions)
    wait.until(lambda: not installed.cluster.api.object(functions)["items"], 60, "the Functions are gone", every=0.2)


def restart(installed, figures):
    """(c) every operator killed under load: what clients noticed."""
    installed.serve("steady", scaling="{minReplicas: 1}")
    await_answer(installed, "/steady")
    with Driver(f"http://{installed.gateway}/steady", 30) as driver:
        installed.kubectl("delete", "pods", "--selector", "app.kubernetes.io/component=operator", "--grace-period=0", "--force")
        installed.await_ready("operator")
        result = driver.result()
    figures.add("operator_restart_failed_requests", failed_of(result))
    figures.note(f"{result['requests']:,} requests, {result['rate']:,.0f}/s, while every operator was killed and came back")


def outage(installed, figures):
    """(d) the API server away for 60 s under load: what clients noticed."""
    installed.serve("alone", scaling="{minReplicas: 1}")
    await_answer(installed, "/alone")
    with Driver(f"http://{installed.gateway}/alone", OUTAGE_SECONDS + 15) as driver:
        installed.cluster.control_plane.kill_daemon("kube-apiserver")
        try:
            time.sleep(OUTAGE_SECONDS)
        finally:
            installed.cluster.start_api_server()
        result = driver.result()
    figures.add("apiserver_outage_failed_requests", failed_of(result))
    figures.note(f"{result['requests']:,} requests, {result['rate']:,.0f}/s, while the API server was away for {OUTAGE_SECONDS} s")


def watch(root, figures):
    """Against an API server alone: from a write to the handler of the client that watches. Needs that no cluster is up."""
    run = subprocess.run([root / "build" / "release" / "bench" / "kube_bench"], stdout=subprocess.PIPE, check=True, timeout=300)
    measured = json.loads(run.stdout)
    figures.add("watch_lag_p99_ms", measured["watch_lag_p99_ms"])
    figures.add("watch_lag_p50_ms", measured["watch_lag_from_answer_p50_ms"], "ms")
    figures.add("cache_mb_10000_pods", measured["cache_mb"], "MB")


PARTS = {"start": start, "pooled": pooled, "reconcile": reconcile, "restart": restart, "outage": outage}
FIGURES = ["apply_to_ready_over_pod_start", "reconcile_1000_s", "operator_rss_mb_1000", "watch_lag_p99_ms",
           "pooled_cold_p50_ms", "pooled_cold_p95_ms", "pooled_cold_p99_ms", "operator_restart_failed_requests", "apiserver_outage_failed_requests"]


def scale_operators(installed, replicas):
    installed.kubectl("scale", "deployment", "mayfly-operator", f"--replicas={replicas}")
    selector = "app.kubernetes.io/component=operator"
    wait.until(lambda: len(installed.pods(selector)) == replicas, 60, f"{replicas} operators run")


def await_answer(installed, path):
    """Until a replica serves: none can be started while what starts it is away."""
    wait.until(lambda: get(installed.gateway, path)[0] == 200, 60, f"{path} answers", every=0.1)


def hello(name):
    return HELLO.replace("name: hello", f"name: {name}").replace("/hello,", f"/{name},")


def failed_of(result):
    return result["failed"] + result["socket_errors"]


class Driver:
    """wrk on few connections in a process of its own, for so many seconds; `result()` waits for its end."""

    def __init__(self, url, seconds):
        code = f"import json, sys; sys.path.insert(0, {str(pathlib.Path(__file__).parents[1])!r}); from harness import wrk; " \
               f"print(json.dumps(wrk.load({url!r}, {seconds}, connections=4, threads=1)))"
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
    sizes = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and pathlib.Path(f"/proc/{entry}/comm").read_text().strip() == program[:15]:
                pages = int(pathlib.Path(f"/proc/{entry}/statm").read_text().split()[1])
                sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
        except OSError:
            continue  # it has just ended
    return sizes
