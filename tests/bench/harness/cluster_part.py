"""Mayfly on a real Kubernetes: from apply to Ready, 1,000 Functions, and what clients notice when parts end."""

import json
import subprocess
import time

from cluster import wait
from cluster.testing import has_condition
from harness.figures import median
from harness.installed import Driver, await_answer, bare_pod, failed_of, functions_of, hello, resident_mb, scale_operators

FUNCTIONS = 1_000
STARTS = 10
OUTAGE_SECONDS = 60


def start(installed, figures):
    """(a) from writing a Function to serving, beside a bare pod from writing it to Ready, alternating."""
    bare, served = [], []
    for number in range(STARTS):
        bare.append(bare_pod(installed, f"bare-{number}"))
        begin = time.monotonic()
        installed.cluster.api.create(functions_of(installed), hello(f"first-{number}", scaling={"minReplicas": 1}))
        installed.await_object(f"{functions_of(installed)}/first-{number}",
                               lambda found: found.get("status", {}).get("readyReplicas", 0) >= 1)
        served.append(time.monotonic() - begin)
        installed.cluster.delete("fn", f"first-{number}", installed.namespace)
    figures.add("apply_to_ready_over_pod_start", median(served) / median(bare))
    figures.add("apply_to_ready_p50_s", median(served), "s")
    figures.add("pod_start_p50_s", median(bare), "s")


def reconcile(installed, figures):
    """(b) 1,000 Functions that no operator has seen: from its start until every one is Ready; what it occupies then."""
    functions = functions_of(installed)
    scale_operators(installed, 0)
    installed.cluster.apply([hello(f"many-{number}") for number in range(FUNCTIONS)], installed.namespace, seconds=300)
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


PARTS = {"start": start, "reconcile": reconcile, "restart": restart, "outage": outage}
FIGURES = ["apply_to_ready_over_pod_start", "reconcile_1000_s", "operator_rss_mb_1000", "watch_lag_p99_ms",
           "operator_restart_failed_requests", "apiserver_outage_failed_requests"]
