"""(c) cold start: the first request to a function that has no process, as its client sees it, and by phase.

Each sample is a function of its own, asked once, one after the other, on one kept-alive connection. A function's processes
leave a second later, so that the machine does not fill up.
"""

import http.client
import re
import time

from harness import mayfly
from harness.figures import percentile

# As the operator's histogram names them, in the order in which they happen.
PHASES = ("decide", "create", "connect", "fetch", "check", "map", "init", "publish", "total")


def measure(bench, figures):
    samples = 10 if bench.quick else 200
    folder = bench.scratch("start")
    names = [f"cold-{number:03}" for number in range(samples)]
    for name in names:
        mayfly.function(folder, name, bench.hello_module(), idle="1s")

    with mayfly.Mayfly(bench, folder, "mayfly-start") as process:
        connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=30)
        connection.connect()

        def ask(name):
            begin = time.perf_counter()
            connection.request("GET", f"/{name}")
            answer = connection.getresponse()
            answer.read()
            taken = (time.perf_counter() - begin) * 1e3
            if answer.status != 200:
                raise RuntimeError(f"{name} answered {answer.status}")
            return taken

        cold, warm = [], []
        for name in names:
            cold.append(ask(name))
            warm.append(ask(name))
            time.sleep(0.03)  # the last one's goodbye is not the next one's start
        phases = read_phases(process.metrics())

    for percent in (50, 95, 99):
        figures.add(f"cold_start_p{percent}_ms", percentile(cold, percent), "ms")
    figures.add("cold_start_max_ms", max(cold), "ms")
    figures.add("cold_start_samples", len(cold), "samples")
    figures.add("second_request_p50_ms", percentile(warm, 50), "ms")
    for phase, (p50, p99) in phases.items():
        figures.add(f"cold_start_{phase}_p50_ms", p50, "ms")
        figures.add(f"cold_start_{phase}_p99_ms", p99, "ms")
    if phases:
        figures.note("phases: " + ", ".join(f"{phase} {p50:.2f} ms" for phase, (p50, _) in phases.items()) + " (p50)")
    else:
        figures.note("phases: no histogram mayfly_cold_start_seconds was found")


def read_phases(text):
    """{phase: (p50, p99) in ms}, interpolated within the buckets of the operator's histogram."""
    buckets = {}
    for labels, count in re.findall(r"^mayfly_cold_start_seconds_bucket\{([^}]*)\} (\S+)$", text, re.M):
        phase = re.search(r'phase="([^"]*)"', labels)
        bound = re.search(r'le="([^"]*)"', labels).group(1)
        row = buckets.setdefault(phase.group(1) if phase else "all", {})
        row[float(bound)] = row.get(float(bound), 0.0) + float(count)
    taken = {phase: row for phase, row in buckets.items() if max(row.values()) > 0}
    return {phase: (quantile(taken[phase], 0.5), quantile(taken[phase], 0.99)) for phase in PHASES if phase in taken}


def quantile(buckets, share):
    bounds = sorted(buckets)
    wanted = buckets[bounds[-1]] * share
    below, lower = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            if bound == float("inf"):
                return lower * 1e3
            inside = buckets[bound] - below
            return (lower + (bound - lower) * ((wanted - below) / inside if inside else 1.0)) * 1e3
        below, lower = buckets[bound], bound
    return lower * 1e3


FIGURES = ["cold_start_p50_ms", "cold_start_p99_ms"]
