"""(e) From a crash to the next answer: one slot, a request that kills its worker, then at once one that asks for an answer.

The clock starts when the deadly request is sent: what the crash's own answer takes (naming the signal, the backtrace) counts.
"""

import http.client
import time

from harness import mayfly
from harness.figures import percentile


def measure(bench, figures):
    rounds = 10 if bench.quick else 200
    folder = bench.scratch("crash")
    mayfly.function(folder, "crash", bench.modules / "segv.so", concurrency=1, least=1)

    with mayfly.Mayfly(bench, folder, "mayfly-crash") as process:
        connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=30)

        def ask(path):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            return answer.status

        ask("/crash?ok")
        whole, after, calm, strange = [], [], [], 0
        for _ in range(rounds):
            begin = time.perf_counter()
            ask("/crash?ok")
            calm.append((time.perf_counter() - begin) * 1e3)
            begin = time.perf_counter()
            first = ask("/crash")
            told = time.perf_counter()
            second = ask("/crash?ok")
            end = time.perf_counter()
            strange += first < 500 or second != 200
            whole.append((end - begin) * 1e3)
            after.append((end - told) * 1e3)

    if strange:
        raise RuntimeError(f"{strange} of {rounds} rounds: the crash was not a 5xx, or the next request not a 200")
    for percent in (50, 99):
        figures.add(f"crash_to_next_answer_p{percent}_ms", percentile(whole, percent), "ms")
        figures.add(f"crash_told_to_next_answer_p{percent}_ms", percentile(after, percent), "ms")
    figures.add("calm_answer_p50_ms", percentile(calm, 50), "ms")


FIGURES = ["crash_to_next_answer_p99_ms"]
