"""(a) gRPC alone against this runtime: 1 KB echo, unary, stream, Invoke and Serve with isolated workers."""

import re
import subprocess

from harness.figures import median

# Names that runtime_bench prints, in answers per second.
BARE_UNARY = "grpc_unary"
SERVE = "serve_isolated"
INVOKE = "invoke_isolated"


def measure(bench, figures):
    rounds = 1 if bench.quick else 5
    taken = {}
    for _ in range(rounds):
        run = subprocess.run(
            [bench.programs / "runtime_bench", "--seconds", "1" if bench.quick else "2"],
            capture_output=True, text=True, check=False, timeout=120,
        )
        if run.returncode:
            raise RuntimeError(f"runtime_bench ended with {run.returncode}: {run.stderr[-1000:]}")
        for name, value, unit in re.findall(r"^figure (\S+) (\S+) (\S+)$", run.stdout, re.M):
            taken.setdefault((name, unit), []).append(float(value))
    middle = {name: median(values) for (name, _), values in taken.items()}
    for (name, unit), _ in taken.items():
        figures.add(name, middle[name], unit)
    for name in ("grpc_unary", "grpc_stream", "invoke_isolated", "serve_isolated"):
        if name in middle:
            figures.note(
                f"{name}: {middle[name]:,.0f}/s, p50 {middle[name + '_p50']:,.0f} us, p99 {middle[name + '_p99']:,.0f} us; of one "
                f"core: server {middle[name + '_server_cpu']:.0%}, driver {middle[name + '_client_cpu']:.0%}"
            )
    for name in (SERVE, INVOKE):
        if name in middle and BARE_UNARY in middle:
            figures.add(f"{name}_over_grpc_unary", middle[name] / middle[BARE_UNARY])


FIGURES = ["serve_isolated_over_grpc_unary", "invoke_isolated_over_grpc_unary"]
