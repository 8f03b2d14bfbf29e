"""From zero to the first answer, seen by a client: out of a RuntimePool, one at a time and many at once; and with a pod that is made for it."""

import base64
import concurrent.futures
import os
import re
import time

from cluster import layout, wait
from e2e.release import get
from harness.figures import median, percentile
from harness.installed import bare_pod

STARTS = int(os.environ.get("POOLED_STARTS") or 100)
UNPOOLED_STARTS = 10
SIZE = 2
FUNCTIONS = 4
BURST = 20
BURSTS = 5
# After a start the pool is filled again and the pod before is deleted: a start is measured once that is over.
QUIET_SECONDS = 0.7
PHASES = ("decide", "claim", "connect", "check", "map", "init", "publish", "total")


def pooled(installed, figures):
    """(a) from zero to the first answer, at the client, of functions that take a replica out of a pool; and of ones that cannot."""
    module(installed, "bench-module", {"module.so": "hello"})
    pooled_names = [f"pooled-{number}" for number in range(FUNCTIONS)]
    make(installed, SIZE, pooled_names)
    make(installed, SIZE, ["unpooled"], resources={"requests": {"cpu": "50m", "memory": "64Mi"}})
    starts = [start(installed, pooled_names[number % FUNCTIONS]) for number in range(STARTS)]
    own, bare = [], []
    for number in range(UNPOOLED_STARTS):
        own.append(start(installed, "unpooled"))
        bare.append(bare_pod(installed, f"bare-{number}") * 1e3)
    for percent in (50, 95, 99):
        figures.add(f"pooled_cold_p{percent}_ms", percentile(starts, percent))
    figures.add("pooled_cold_max_ms", max(starts), "ms")
    figures.add("pooled_cold_samples", len(starts), "samples")
    figures.add("unpooled_cold_over_pod_start_ms", median(own) - median(bare))
    figures.add("unpooled_cold_p50_ms", median(own), "ms")
    figures.add("pod_start_p50_ms", median(bare), "ms")
    figures.add("unpooled_cold_samples", len(own), "samples")
    taken = installed.cluster.get("rtp", "bench", installed.namespace)["status"]["taken"]
    figures.note(f"{taken} of {len(starts)} starts took a replica of the pool")
    figures.note("of them, by the operator's mayfly_cold_start_seconds: " + phases(installed))
    end(installed, [*pooled_names, "unpooled"])


def burst(installed, figures):
    """(b) twenty functions at zero that are all asked at once, with a pool that has a replica for each."""
    module(installed, "bench-module", {"module.so": "hello"})
    names = [f"burst-{number}" for number in range(BURST)]
    make(installed, BURST, names)
    took = []
    with concurrent.futures.ThreadPoolExecutor(BURST) as clients:
        for _ in range(BURSTS):
            rest(installed, BURST)
            took += clients.map(lambda name: ask(installed, name), names)
    figures.add("burst20_cold_p95_ms", percentile(took, 95))
    figures.add("burst20_cold_p50_ms", percentile(took, 50), "ms")
    figures.add("burst20_cold_samples", len(took), "samples")
    end(installed, names)


def module(installed, name, keys):
    """A ConfigMap of example modules: {key: which}."""
    folder = layout.ROOT / "build" / "release" / "examples"
    data = {key: base64.b64encode((folder / f"{which}.so").read_bytes()).decode() for key, which in keys.items()}
    maps = f"/api/v1/namespaces/{installed.namespace}/configmaps"
    if installed.cluster.api.object(f"{maps}/{name}") is None:
        installed.cluster.api.create(maps, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "binaryData": data})


def make(installed, size, names, **spec):
    """The pool, and functions at zero that leave each replica as soon as it has answered."""
    functions = [{
        "apiVersion": "mayfly.dev/v1alpha1", "kind": "Function", "metadata": {"name": name},
        "spec": {"artifact": {"configMap": {"name": "bench-module", "key": "module.so"}}, "scaling": {"scaleToZeroAfter": "0s"},
                 "triggers": [{"name": "http", "http": {"path": f"/{name}"}}], **spec},
    } for name in names]
    pool = {"apiVersion": "mayfly.dev/v1alpha1", "kind": "RuntimePool", "metadata": {"name": "bench"}, "spec": {"size": size}}
    installed.cluster.apply([pool, *functions], installed.namespace)
    for name in names:
        installed.kubectl("wait", "--for=condition=Ready", f"fn/{name}", "--timeout=60s")


def end(installed, names):
    installed.kubectl("delete", "fn", *names)
    installed.kubectl("delete", "rtp", "bench")


def rest(installed, size):
    """Once the pool is full and nothing else runs, and for a moment more."""
    def rests():
        pods = installed.cluster.api.object(f"/api/v1/namespaces/{installed.namespace}/pods")["items"]
        runtimes = [pod for pod in pods if pod["metadata"]["labels"].get("app.kubernetes.io/component") == "runtime"]
        status = installed.cluster.api.object(
            f"/apis/mayfly.dev/v1alpha1/namespaces/{installed.namespace}/runtimepools/bench").get("status", {})
        return len(runtimes) == size and status.get("ready") == size

    wait.until(rests, 120, "the pool is full and nothing else runs", every=0.1)
    time.sleep(QUIET_SECONDS)


def start(installed, name):
    """Milliseconds of one start, once the cluster is at rest."""
    rest(installed, SIZE)
    return ask(installed, name)


def ask(installed, name):
    """Milliseconds from the first byte of a connection to the last of the answer."""
    begin = time.monotonic()
    status, body = get(installed.gateway, f"/{name}")
    took = (time.monotonic() - begin) * 1e3
    if status != 200:
        raise RuntimeError(f"/{name} answered {status} {body}")
    return took


def phases(installed):
    """Means of the pooled starts."""
    sums = {}
    for what, labels, value in re.findall(r"^mayfly_cold_start_seconds_(sum|count)\{([^}]*)\} (\S+)$", installed.operator_metrics(), re.M):
        if 'from="pool"' in labels:
            phase = re.search(r'phase="([^"]*)"', labels).group(1)
            sums.setdefault(phase, {}).setdefault(what, 0.0)
            sums[phase][what] += float(value)
    return ", ".join(f"{phase} {sums[phase]['sum'] / sums[phase]['count'] * 1e3:.2f} ms" for phase in PHASES if phase in sums) + " (means)"
