"""Scaling on a real Kubernetes: a module changed and replicas taken away under load, and an operator with 10,000 Functions."""

import concurrent.futures
import http.client
import random
import re
import time

from cluster import wait
from cluster.testing import has_condition
from e2e.release import get
from harness.figures import percentile
from harness.installed import Driver, await_answer, failed_of, functions_of, hello, resident_mb, scale_operators
from harness.pooled_part import burst, module, pooled
from harness.process import processes_named, read_stat
from harness.start_part import read_phases

SWAPS = 40
REPLICAS = 15
FUNCTIONS = 10_000
WRITERS = 4
REST_SECONDS = 30
ASKED = 60


def swap(installed, figures):
    """(c) a function's module changed again and again under load: from the change to its first answer, and what clients noticed."""
    module(installed, "bench-swap", {"hello": "hello", "echo": "echo"})
    changed = hello("swapped", scaling={"minReplicas": 1}, artifact={"configMap": {"name": "bench-swap", "key": "hello"}})
    installed.cluster.api.create(functions_of(installed), changed)
    installed.addCleanup(installed.cluster.delete, "fn", "swapped", installed.namespace)
    await_answer(installed, "/swapped")
    took = []
    with Driver(f"http://{installed.gateway}/swapped", SWAPS // 2 + 5) as driver:
        client = http.client.HTTPConnection(installed.gateway, timeout=10)
        for number in range(SWAPS):
            key = ("echo", "hello")[number % 2]
            begin = time.monotonic()
            installed.cluster.api.patch(f"{functions_of(installed)}/swapped", {"spec": {"artifact": {"configMap": {"name": "bench-swap", "key": key}}}})
            wait.until(lambda key=key: answer(client).startswith(b"Hello") == (key == "hello"), 10, f"{key} answers", every=0)
            took.append((time.monotonic() - begin) * 1e3)
            time.sleep(0.4)  # the changes are apart, as people's are
        client.close()
        result = driver.result()
    figures.add("swap_ms_p99", percentile(took, 99))
    figures.add("swap_ms_p50", percentile(took, 50), "ms")
    figures.add("swap_failed", failed_of(result))
    figures.note(f"{SWAPS} changes of the module, from the write to the API server to the first answer of the new one, "
                 f"among {result['requests']:,} requests, {result['rate']:,.0f}/s")


def answer(client):
    client.request("GET", "/swapped")
    return client.getresponse().read()


def scale_in(installed, figures):
    """(d) from 15 replicas to one at full load: what clients noticed."""
    name = "shrinking"
    installed.cluster.api.create(functions_of(installed), hello(name, scaling={"minReplicas": REPLICAS, "maxReplicas": REPLICAS}))
    installed.addCleanup(installed.cluster.delete, "fn", name, installed.namespace)
    path = f"{functions_of(installed)}/{name}"
    wait.until(lambda: installed.cluster.api.object(path).get("status", {}).get("readyReplicas") == REPLICAS, 120, f"{REPLICAS} replicas serve", every=0.2)
    with Driver(f"http://{installed.gateway}/{name}", 30, connections=64) as driver:
        time.sleep(5)  # of load on all of them
        installed.cluster.api.patch(path, {"spec": {"scaling": {"minReplicas": 1, "maxReplicas": 1}}})
        begin = time.monotonic()
        wait.until(lambda: len(installed.pods(f"mayfly.dev/function={name}")) == 1, 60, "one replica is left", every=0.2)
        took = time.monotonic() - begin
        result = driver.result()
    figures.add("scale_in_failed", failed_of(result))
    figures.note(f"{REPLICAS} replicas became one in {took:.1f} s, among {result['requests']:,} requests, {result['rate']:,.0f}/s")


def ten_thousand(installed, figures):
    """(e) 10,000 Functions: what the operator occupies, does at rest, takes to be in the picture again, and to decide."""
    functions, api = functions_of(installed), installed.cluster.api
    scale_operators(installed, 0)
    names = [f"many-{number}" for number in range(FUNCTIONS)]
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as writers:
        for _ in writers.map(lambda name: api.create(functions, hello(name, scaling={"scaleToZeroAfter": "1s"})), names):
            pass
    begin = time.monotonic()
    scale_operators(installed, 1)
    wait.until(lambda: ready(api, functions) == FUNCTIONS, 600, f"{FUNCTIONS} Functions are Ready", every=2)
    figures.add("operator_first_sync_s_10000", time.monotonic() - begin, "s")
    (pid,) = processes_named("mayfly-operator")
    time.sleep(5)  # the last statuses come back by the watch
    before, writes = read_stat(pid)[2], requests(installed)
    time.sleep(REST_SECONDS)
    figures.add("operator_cpu_percent_10000", (read_stat(pid)[2] - before) / REST_SECONDS * 100)
    figures.add("operator_rss_mb_10000", max(resident_mb("mayfly-operator")))
    figures.note(f"{requests(installed) - writes} requests that write by the operator in {REST_SECONDS} s at rest, beside its lease's")
    scale_operators(installed, 0)
    wait.until(lambda: not processes_named("mayfly-operator"), 30, "the operator's process is gone")
    installed.kubectl("scale", "deployment", "mayfly-operator", "--replicas=1")
    wait.until(lambda: processes_named("mayfly-operator"), 30, "another operator runs", every=0.01)
    begin = time.monotonic()
    wait.until(lambda: reconciled(installed) >= FUNCTIONS, 120, "every Function was reconciled", every=0.1)
    figures.add("operator_sync_s_10000", time.monotonic() - begin)
    writes = requests(installed)
    figures.note(f"{writes:.0f} requests that write by an operator that found everything as it should be, beside its lease's")
    for name in random.sample(names, ASKED):
        wait.until(lambda name=name: get(installed.gateway, f"/{name}")[0] == 200, 60, f"{name} answers", every=0.1)
    figures.add("decision_p99_ms_10000", read_phases(installed.operator_metrics())["decide"][1])
    figures.note(f"decisions: {ASKED} Functions of the {FUNCTIONS:,} were asked while at zero")
    installed.kubectl("delete", "--raw", functions)
    scale_operators(installed, 2)
    wait.until(lambda: not api.object(functions)["items"], 300, "the Functions are gone", every=1)


def ready(api, functions):
    return sum(has_condition(function, "Ready") for function in api.object(functions)["items"])


def requests(installed):
    """How many requests that change something the operator has made, those for its Lease apart."""
    found = re.findall(r"^mayfly_kube_requests_total\{([^}]*)\} (\S+)$", installed.operator_metrics(), re.M)
    writes = [float(count) for labels, count in found if re.search(r'verb="(create|update|patch|apply|delete)"', labels) and "lease" not in labels]
    return sum(writes)


def reconciled(installed):
    found = re.findall(r"^mayfly_operator_reconcile_total\{[^}]*\} (\S+)$", installed.operator_metrics(), re.M)
    return sum(float(count) for count in found)


PARTS = {"pooled": pooled, "burst": burst, "swap": swap, "scale_in": scale_in, "ten_thousand": ten_thousand}
FIGURES = ["pooled_cold_p50_ms", "pooled_cold_p95_ms", "pooled_cold_p99_ms", "burst20_cold_p95_ms", "unpooled_cold_over_pod_start_ms",
           "swap_ms_p99", "swap_failed", "scale_in_failed", "operator_rss_mb_10000", "operator_cpu_percent_10000",
           "operator_sync_s_10000", "decision_p99_ms_10000"]
