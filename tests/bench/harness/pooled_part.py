"""From zero to the first answer, seen by a client: out of a RuntimePool, and with a pod that is made for it."""

import base64
import os
import re
import time

from cluster import layout, wait
from e2e.release import get
from harness.figures import percentile

STARTS = int(os.environ.get("POOLED_STARTS") or 100)
UNPOOLED_STARTS = 10
SIZE = 2
FUNCTIONS = 4
# After a start the pool is filled again and the pod before is deleted: a start is measured once that is over.
QUIET_SECONDS = 0.7
PHASES = ("decide", "claim", "connect", "check", "map", "init", "publish", "total")
POOL = f"""
apiVersion: mayfly.dev/v1alpha1
kind: RuntimePool
metadata: {{name: bench}}
spec: {{size: {SIZE}}}
"""
FUNCTION = """
---
apiVersion: mayfly.dev/v1alpha1
kind: Function
metadata: {name: NAME}
spec:
  artifact: {configMap: {name: bench-module, key: module.so}}
  scaling: {scaleToZeroAfter: 0s}
  resources: RESOURCES
  triggers:
  - {name: http, http: {path: /NAME}}
"""


def pooled(installed, figures):
    """(e) from zero to the first answer, at the client, of functions that take a replica out of a pool; and of ones that cannot."""
    module = (layout.ROOT / "build" / "release" / "examples" / "hello.so").read_bytes()
    installed.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bench-module"},
                             "binaryData": {"module.so": base64.b64encode(module).decode()}}, installed.namespace)
    pooled_names = [f"pooled-{number}" for number in range(FUNCTIONS)]
    names = [*pooled_names, "unpooled"]
    installed.cluster.apply(POOL + "".join(make(name) for name in names), installed.namespace)
    for name in names:
        installed.kubectl("wait", "--for=condition=Ready", f"fn/{name}", "--timeout=60s")
    starts = [start(installed, pooled_names[number % FUNCTIONS]) for number in range(STARTS)]
    own = [start(installed, "unpooled") for _ in range(UNPOOLED_STARTS)]
    for percent in (50, 95, 99):
        figures.add(f"pooled_cold_p{percent}_ms", percentile(starts, percent))
    figures.add("pooled_cold_max_ms", max(starts), "ms")
    figures.add("pooled_cold_samples", len(starts), "samples")
    figures.add("unpooled_cold_p50_ms", percentile(own, 50), "ms")
    figures.add("unpooled_cold_samples", len(own), "samples")
    taken = installed.cluster.get("rtp", "bench", installed.namespace)["status"]["taken"]
    figures.note(f"{taken} of {len(starts)} starts took a replica of the pool")
    figures.note("of them, by the operator's mayfly_cold_start_seconds: " + phases(installed))
    installed.kubectl("delete", "fn", *names)
    installed.kubectl("delete", "rtp", "bench")


def make(name):
    resources = "{requests: {cpu: 50m, memory: 64Mi}}" if name == "unpooled" else "{}"
    return FUNCTION.replace("NAME", name).replace("RESOURCES", resources)


def start(installed, name):
    """Milliseconds from the first byte of a connection to the last of the answer, once the cluster is at rest."""
    def rests():
        pods = installed.cluster.api.object(f"/api/v1/namespaces/{installed.namespace}/pods")["items"]
        runtimes = [pod for pod in pods if pod["metadata"]["labels"].get("app.kubernetes.io/component") == "runtime"]
        status = installed.cluster.api.object(
            f"/apis/mayfly.dev/v1alpha1/namespaces/{installed.namespace}/runtimepools/bench").get("status", {})
        return len(runtimes) == SIZE and status.get("ready") == SIZE

    wait.until(rests, 60, "the pool is full and nothing else runs", every=0.1)
    time.sleep(QUIET_SECONDS)
    begin = time.monotonic()
    status, body = get(installed.gateway, f"/{name}")
    took = (time.monotonic() - begin) * 1e3
    if status != 200:
        raise RuntimeError(f"/{name} answered {status} {body}")
    return took


def phases(installed):
    """Means of the pooled starts."""
    sums = {}
    for pod in installed.pods("app.kubernetes.io/component=operator"):
        path = f"/api/v1/namespaces/{installed.namespace}/pods/{pod['metadata']['name']}:9090/proxy/metrics"
        text = installed.kubectl("get", "--raw", path)
        for what, labels, value in re.findall(r"^mayfly_cold_start_seconds_(sum|count)\{([^}]*)\} (\S+)$", text, re.M):
            if 'from="pool"' in labels:
                phase = re.search(r'phase="([^"]*)"', labels).group(1)
                sums.setdefault(phase, {}).setdefault(what, 0.0)
                sums[phase][what] += float(value)
    return ", ".join(f"{phase} {sums[phase]['sum'] / sums[phase]['count'] * 1e3:.2f} ms" for phase in PHASES if phase in sums) + " (means)"
