"""wrk, the load driver: one run, its figures, its errors, its own CPU."""

import json
import os
import subprocess
import tempfile
import time

SCRIPT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.stderr:write(string.format(
    '{"requests":%d,"seconds":%.6f,"p50":%.3f,"p90":%.3f,"p99":%.3f,"max":%.3f,"failed":%d,"socket_errors":%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3, e.status, e.connect + e.read + e.write + e.timeout))
end
"""


def load(url, seconds, connections=64, threads=2):
    """{"requests", "rate" per second, "p50"…"max" in ms, "failed", "socket_errors", "driver": its share of one core}."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT)
        script.flush()
        begin, before = time.monotonic(), os.times()
        run = subprocess.run(
            ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script.name, url],
            capture_output=True, text=True, check=True, timeout=seconds + 30,
        )
        after, wall = os.times(), time.monotonic() - begin
    result = json.loads(run.stderr[run.stderr.index("{") :])
    result["rate"] = result["requests"] / result["seconds"]
    used = after.children_user + after.children_system - before.children_user - before.children_system
    result["driver"] = used / wall
    return result
