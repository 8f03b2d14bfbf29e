"""(f) Events of PostgreSQL: from a row's commit to its handler, and rows a second in batches, beside pg_recvlogical."""

import datetime
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from harness import mayfly, reports
from harness.figures import median, percentile
from harness.process import Process, free_port

FILLER = 150

MANIFEST = """apiVersion: mayfly.dev/v1alpha1
kind: Function
metadata: {{name: rows}}
spec:
  artifact: {{path: {module}}}
  config: {{port: {port}}}
  concurrency: {concurrency}
  scaling: {{minReplicas: 1, maxReplicas: 1}}
  triggers:
  - name: rows
    postgres: {{host: 127.0.0.1, port: {server}, database: postgres, publication: bench, slot: ours, credentials: {{secretName: login}}}}
{policy}"""

SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {username: postgres, password: postgres}\n"


class Server(Process):
    """PostgreSQL as the tests start it, but that a commit is on the disk: the server's user must reach its folder."""

    def __init__(self, bench, folder):
        self.port = free_port()
        super().__init__("postgres", [bench.root / "tests" / "servers" / "server", "postgres", "--port", self.port, "--folder", folder, "-c", "fsync=on"],
                         bench.out / "logs" / "postgres.log")
        self.wait_for(lambda text: "database system is ready" in text, 60)

    def stop(self, seconds=10):
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)  # SIGTERM waits for clients
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        super().stop(seconds)

    def environment(self):
        return {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres", "PGPASSWORD": "postgres", "PGDATABASE": "postgres"}


class Client:
    """One psql, a statement at a time."""

    def __init__(self, server):
        self.server = server
        self._psql = subprocess.Popen(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      env=server.environment())

    def ask(self, statement):
        self._psql.stdin.write(statement + ";\n\\echo --end\n")
        self._psql.stdin.flush()
        lines = []
        for line in self._psql.stdout:
            if line == "--end\n":
                return "\n".join(lines)
            lines.append(line.rstrip("\n"))
        raise RuntimeError(f"psql ended at: {statement}")

    def close(self):
        self._psql.stdin.close()
        self._psql.wait(10)


def fill(client, rows):
    """So many rows, a thousand a commit, which both slots have before them; returns the end of the last commit."""
    for slot in ("ours", "plain"):
        client.ask(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{slot}'")
        client.ask(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
    for _ in range(rows // 1000):
        client.ask(f"INSERT INTO rows (note) SELECT repeat('x', {FILLER}) FROM generate_series(1, 1000)")
    return client.ask("SELECT pg_current_wal_insert_lsn()")


def plain(server, rows, end):
    """Rows a second of PostgreSQL's own client, which throws them away."""
    begin = time.monotonic()
    subprocess.run([pathlib.Path(server.programs) / "pg_recvlogical", "-d", "postgres", "-S", "plain", "--start", "--no-loop", "--endpos", end, "-f", os.devnull,
                    "-o", "proto_version=1", "-o", "publication_names=bench"], env=server.environment(), check=True, timeout=300, capture_output=True)
    return rows / (time.monotonic() - begin)


def ours(bench, client, rows, end):
    """Rows a second from when the first was confirmed to when all were."""
    folder = bench.scratch("postgres-batched")
    (folder / "echo_plain.so").write_bytes((bench.modules / "echo_plain.so").read_bytes())
    (folder / "login.yaml").write_text(SECRET)
    (folder / "f.yaml").write_text(MANIFEST.format(module="echo_plain.so", port=0, concurrency=4, server=client.server.port,
                                                   policy="    batch: {size: 100}\n"))
    total = int(client.ask(f"SELECT pg_wal_lsn_diff('{end}', confirmed_flush_lsn) FROM pg_replication_slots WHERE slot_name = 'ours'"))
    with mayfly.Mayfly(bench, folder, "mayfly-postgres-batched"):
        begin = first = None
        limit = time.monotonic() + 240
        while time.monotonic() < limit:
            now = time.monotonic()
            left = int(client.ask(f"SELECT pg_wal_lsn_diff('{end}', confirmed_flush_lsn) FROM pg_replication_slots WHERE slot_name = 'ours'"))
            if begin is None and left < total:
                begin, first = now, left
            if left <= 0:
                return rows * first / total / (now - begin)
            time.sleep(0.01)
    raise RuntimeError(f"{left} of {total} bytes of the log were not confirmed in time")


def latency(bench, client):
    """How long after a row's commit its handler runs, in ms."""
    late = []

    def take(line, now):
        _, found, time_of = line.partition('"commitTime":"')
        if found:
            late.append((now - datetime.datetime.fromisoformat(time_of[:26] + "+00:00").timestamp()) * 1000)

    with reports.listening(take) as port:
        folder = bench.scratch("postgres-latency")
        (folder / "reports.so").write_bytes((bench.modules / "reports.so").read_bytes())
        (folder / "login.yaml").write_text(SECRET)
        (folder / "f.yaml").write_text(MANIFEST.format(module="reports.so", port=port, concurrency=4, server=client.server.port, policy=""))
        fill(client, 0)
        count = 100 if bench.quick else 500
        with mayfly.Mayfly(bench, folder, "mayfly-postgres-latency"):
            limit = time.monotonic() + 60
            while not late and time.monotonic() < limit:  # the replica is there, the slot is read
                client.ask("INSERT INTO rows (note) VALUES ('x')")
                time.sleep(0.1)
            time.sleep(1)
            late.clear()
            for _ in range(count):
                client.ask("INSERT INTO rows (note) VALUES ('x')")
                time.sleep(0.01)
            limit = time.monotonic() + 30
            while len(late) < count and time.monotonic() < limit:
                time.sleep(0.05)
    if len(late) < count:
        raise RuntimeError(f"{len(late)} of {count} rows came")
    return late


def postgres(bench, figures):
    """Rows of PostgreSQL to a function: from commit to handler, and in batches beside pg_recvlogical."""
    rows = 20_000 if bench.quick else 100_000
    rounds = 1 if bench.quick else 3
    with tempfile.TemporaryDirectory(prefix="mayfly-bench-") as folder, Server(bench, folder) as server:
        server.programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        client = Client(server)
        client.ask("CREATE TABLE rows (id bigserial PRIMARY KEY, note text)")
        client.ask("CREATE PUBLICATION bench FOR TABLE rows")
        late = latency(bench, client)
        figures.add("row_commit_p50_ms", percentile(late, 50))
        figures.add("row_commit_p99_ms", percentile(late, 99), "ms")
        batched, theirs = [], []
        for _ in range(rounds):
            end = fill(client, rows)
            theirs.append(plain(server, rows, end))
            batched.append(ours(bench, client, rows, end))
        client.close()
    figures.add("rows_per_s_batched", median(batched))
    figures.add("rows_over_pg_recvlogical", median(batched) / median(theirs), "ratio")
    figures.note(f"pg_recvlogical, which throws the rows away: {median(theirs):,.0f} rows/s")
