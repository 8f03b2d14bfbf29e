"""(b) hello over HTTP at 64 connections: bare Beast, cpp-httplib, workerd, and the gateway end to end."""

import contextlib
import subprocess

from harness import mayfly, wrk
from harness.figures import median
from harness.process import CpuMeter, Process, free_port

WORKERD = "node_modules/@cloudflare/workerd-linux-{}/bin/workerd"

CONNECTIONS = 64


def install_workerd(bench):
    """The pinned workerd out of npm, once; its program."""
    folder = bench.out / "peers"
    machine = {"x86_64": "64", "aarch64": "arm64"}[bench.machine]
    program = folder / WORKERD.format(machine)
    pinned = (bench.here / "peers" / "package.json").read_bytes()
    if not program.exists() or (folder / "package.json").read_bytes() != pinned:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_bytes(pinned)
        subprocess.run(
            ["npm", "install", "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
            cwd=folder, check=True, timeout=300,
        )
    return program


def bare(bench, name):
    port = free_port()
    process = Process(name, [bench.programs / name, port], bench.out / "logs" / f"{name}.log")
    process.wait_for_port(port)
    return process, f"http://127.0.0.1:{port}/hello"


def workerd(bench):
    program, port = install_workerd(bench), free_port()
    process = Process(
        "workerd", [program, "serve", f"--socket-addr=http=127.0.0.1:{port}", bench.here / "peers" / "hello.capnp"],
        bench.out / "logs" / "workerd.log",
    )
    process.wait_for_port(port)
    return process, f"http://127.0.0.1:{port}/"


def gateway(bench, name, **spec):
    folder = bench.scratch(name)
    mayfly.function(folder, "hello", bench.hello_module(), least=1, **spec)
    process = mayfly.Mayfly(bench, folder, f"mayfly-{name}")
    return process, process.url + "/hello"


SERVERS = {
    "beast": lambda bench: bare(bench, "beast_hello"),
    "front": lambda bench: bare(bench, "front_bench"),  # the gateway's HTTP alone, answering by itself
    "httplib": lambda bench: bare(bench, "httplib_hello"),
    "workerd": workerd,
    # One replica with a worker for each connection, and what a manifest that says nothing gets.
    "gateway": lambda bench: gateway(bench, "hello", concurrency=CONNECTIONS, most=1),
    "gateway_default": lambda bench: gateway(bench, "hello-default", concurrency=10, most=20),
}


def measure(bench, figures):
    rounds, seconds = (1, 1) if bench.quick else (5, 3)
    with contextlib.ExitStack() as running:
        servers = {}
        for name, start in SERVERS.items():
            try:
                process, url = start(bench)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                figures.note(f"{name}: not measured: {error}")
                continue
            running.callback(process.stop)
            servers[name] = (process, url)
            wrk.load(url, 1, CONNECTIONS)  # what is compiled or forked on demand is there now

        results = {name: [] for name in servers}
        for _ in range(rounds):
            for name, (process, url) in servers.items():
                meter = CpuMeter([process.pid])
                result = wrk.load(url, seconds, CONNECTIONS)
                result["shares"], result["cpu"] = meter.stop()
                results[name].append(result)

    def middle(name, key):
        return median([result[key] for result in results[name]])

    for name, taken in results.items():
        figures.add(f"{name}_hello_per_second", middle(name, "rate"), "1/s")
        figures.add(f"{name}_hello_cpu_us", median([r["cpu"] / max(1, r["requests"]) * 1e6 for r in taken]), "us")
        typical = sorted(taken, key=lambda result: result["rate"])[len(taken) // 2]
        shares = ", ".join(f"{program} {share:.0%}" for program, share in typical["shares"].items() if share > 0.005)
        figures.note(
            f"{name}: {typical['rate']:,.0f}/s, p50 {typical['p50']:.2f} ms, p99 {typical['p99']:.2f} ms; "
            f"of one core: {shares}, wrk {typical['driver']:.0%}"
        )
        failed = sum(result["failed"] + result["socket_errors"] for result in taken)
        if failed:
            figures.note(f"{name}: {failed} requests failed")
        if name != "gateway":
            figures.add(f"{name}_p50_ms", middle(name, "p50"), "ms")
            figures.add(f"{name}_p99_ms", middle(name, "p99"), "ms")
    if "gateway" in results:
        figures.add("gateway_failed_requests", sum(r["failed"] + r["socket_errors"] for r in results["gateway"]), "requests")
        figures.add("gateway_p50_ms", middle("gateway", "p50"))
        figures.add("gateway_p99_ms", middle("gateway", "p99"))
        for peer in ("beast", "httplib", "workerd"):
            if peer in results:
                figures.add(f"gateway_over_{peer}", middle("gateway", "rate") / middle(peer, "rate"), "ratio")


FIGURES = ["gateway_over_beast", "gateway_over_workerd", "gateway_p50_ms", "gateway_p99_ms"]
