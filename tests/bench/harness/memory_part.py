"""(d) What each process occupies while idle, and what one more worker costs."""

import threading
import time
import urllib.request

from harness import mayfly
from harness.process import memory, tree_of

SLOTS = 10


def total_pss(root):
    taken = [memory(pid) for pid in tree_of(root)]
    return sum(one["pss"] for one in taken if one)


def measure(bench, figures):
    folder = bench.scratch("memory")
    mayfly.function(folder, "sleeps", bench.modules / "sleeps.so", concurrency=SLOTS, least=1)

    with mayfly.Mayfly(bench, folder, "mayfly-memory") as process:
        def ask(milliseconds):
            with urllib.request.urlopen(f"{process.url}/sleeps?ms={milliseconds}", timeout=30) as answer:
                answer.read()

        ask(1)
        time.sleep(1)
        one = len(process.pids("mayfly-worker"))
        before = total_pss(process.pid)
        runtime = memory(process.pids("mayfly-runtime")[0])
        up = memory(process.pid)

        # As many requests at once as there are slots: as many workers.
        clients = [threading.Thread(target=ask, args=(1000,)) for _ in range(SLOTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        time.sleep(1)
        workers = process.pids("mayfly-worker")
        after = total_pss(process.pid)
        each = [memory(pid) for pid in workers]

    for name, taken in (("runtime", runtime), ("up", up)):
        figures.add(f"{name}_idle_pss_mb", taken["pss"], "MB")
        figures.add(f"{name}_idle_rss_mb", taken["rss"], "MB")
        figures.add(f"{name}_idle_own_mb", taken["own"], "MB")
    if len(workers) <= one:
        raise RuntimeError(f"{len(workers)} mayfly-worker processes after {SLOTS} requests at once, {one} before")
    # All processes together: what a further worker adds, whoever the kernel charges it to.
    figures.add("worker_pss_mb", (after - before) / (len(workers) - one))
    figures.add("worker_largest_rss_mb", max(taken["rss"] for taken in each if taken), "MB")
    figures.add("worker_largest_pss_mb", max(taken["pss"] for taken in each if taken), "MB")
    figures.note(f"mayfly up {up['pss']:.1f} MB PSS, runtime {runtime['pss']:.1f}, {len(workers)} worker processes {after - up['pss'] - runtime['pss']:.1f} in all")


FIGURES = ["runtime_idle_pss_mb", "worker_pss_mb"]
