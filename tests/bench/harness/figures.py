"""The figures of a run: kept, held against their goals, printed, written."""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import time

# (name, unit, goal). A goal reads ">= 1.0" or "<= 30"; none where a figure only explains another.
GOALS = {
    "serve_isolated_over_grpc_unary": ("ratio", ">= 1.0"),
    "invoke_isolated_over_grpc_unary": ("ratio", None),
    "gateway_over_beast": ("ratio", ">= 0.5"),
    "gateway_over_workerd": ("ratio", ">= 1.5"),
    "gateway_p50_ms": ("ms", None),
    "gateway_p99_ms": ("ms", None),
    "cold_start_p50_ms": ("ms", None),
    "cold_start_p99_ms": ("ms", "<= 30"),
    "runtime_idle_pss_mb": ("MB", "<= 12"),
    "worker_pss_mb": ("MB", "<= 1"),
    "crash_to_next_answer_p99_ms": ("ms", "<= 10"),
    # Events.
    "jetstream_events_per_s": ("events/s", ">= 20000"),
    "jetstream_over_plain_client": ("ratio", ">= 0.5"),
    "kafka_over_plain_client": ("ratio", ">= 0.5"),
    "row_commit_p50_ms": ("ms", "<= 10"),
    "rows_per_s_batched": ("rows/s", None),
    "store_durable_events_per_s": ("events/s", ">= 10000"),
    "cron_late_p99_ms": ("ms", "<= 50"),
    "idle_trigger_kb": ("KB", "<= 50"),
    # In a cluster.
    "apply_to_ready_over_pod_start": ("ratio", "<= 2"),
    "reconcile_1000_s": ("s", "<= 20"),
    "operator_rss_mb_1000": ("MB", "<= 60"),
    "watch_lag_p99_ms": ("ms", "<= 50"),
    "operator_restart_failed_requests": ("requests", "<= 0"),
    "apiserver_outage_failed_requests": ("requests", "<= 0"),
    # Scaling.
    "pooled_cold_p50_ms": ("ms", "<= 5"),
    "pooled_cold_p95_ms": ("ms", None),
    "pooled_cold_p99_ms": ("ms", "<= 10"),
    "burst20_cold_p95_ms": ("ms", None),
    "unpooled_cold_over_pod_start_ms": ("ms", "<= 50"),
    "swap_ms_p99": ("ms", "<= 50"),
    "swap_failed": ("requests", "<= 0"),
    "scale_in_failed": ("requests", "<= 0"),
    "operator_rss_mb_10000": ("MB", "<= 150"),
    "operator_cpu_percent_10000": ("% of a core", "<= 1"),
    "operator_sync_s_10000": ("s", "<= 10"),
    "decision_p99_ms_10000": ("ms", None),
}


def percentile(values, percent):
    """The smallest value that `percent` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def median(values):
    return statistics.median(values)


class Figures:
    def __init__(self):
        self._rows = {}
        self.notes = []
        self._load = os.getloadavg()[0]
        if self._load > 0.5:
            self.note(f"the machine was busy before the run began (load {self._load:.1f}): these figures are too bad")

    def add(self, name, value, unit=None):
        known_unit, goal = GOALS.get(name, (unit, None))
        self._rows[name] = {"name": name, "value": value, "unit": known_unit, "goal": goal, "met": self._met(value, goal)}

    def missing(self, name, why):
        if name not in self._rows:
            self.add(name, None)
            self._rows[name]["why"] = why

    @staticmethod
    def _met(value, goal):
        if goal is None:
            return None
        if value is None:
            return False
        sign, bound = goal.split()
        return value >= float(bound) if sign == ">=" else value <= float(bound)

    def note(self, line):
        """A line for the reader: what a throughput cost whom."""
        self.notes.append(line)
        print("  " + line, flush=True)

    def rows(self):
        first = [name for name in GOALS if name in self._rows]
        return [self._rows[name] for name in first + [name for name in self._rows if name not in GOALS]]

    def table(self):
        lines = [f"{'figure':46} {'value':>12} {'unit':9} {'goal':>8}  "]
        lines.append("-" * len(lines[0]))
        for row in self.rows():
            value = "missing" if row["value"] is None else format_value(row["value"])
            verdict = {True: "met", False: "MISSED", None: ""}[row["met"]]
            why = f"  ({row['why']})" if "why" in row else ""
            lines.append(f"{row['name']:46} {value:>12} {row['unit'] or '':9} {row['goal'] or '':>8}  {verdict}{why}".rstrip())
        return "\n".join(lines)

    def write(self, path, source):
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"figures": self.rows(), "notes": self.notes, "machine": {**machine(), "load_at_begin": self._load}, "commit": commit(source)}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(document, indent=2) + "\n")
        partial.replace(path)


def format_value(value):
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def machine():
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def commit(source):
    def git(*arguments):
        run = subprocess.run(["git", "-C", source, *arguments], capture_output=True, text=True, check=False)
        return run.stdout.strip() if run.returncode == 0 else ""

    head = git("rev-parse", "HEAD")
    if not head:
        return "unknown"
    return head + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
