"""(f) Events: JetStream and Kafka to a function beside plain clients in C, the store, schedules, idle triggers."""

import datetime
import re
import subprocess
import sys
import time

from harness import mayfly, postgres_part, reports
from harness.figures import median, percentile
from harness.process import CpuMeter, Process, free_port

BYTES = 200

MANIFEST = """apiVersion: mayfly.dev/v1alpha1
kind: Function
metadata: {{name: {name}}}
spec:
  artifact: {{path: {module}}}
  config: {{port: {port}}}
  concurrency: {concurrency}
  scaling: {{minReplicas: 1, maxReplicas: 1}}
  triggers:
{triggers}"""


def figures_of(program, *arguments, seconds=300):
    """{name: value} of a program's lines."""
    run = subprocess.run([str(each) for each in (program, *arguments)], capture_output=True, text=True, timeout=seconds, check=False)
    if run.returncode:
        raise RuntimeError(f"{program.name} {arguments[0]}: {run.stderr.strip()[-500:]}")
    return {name: float(value) for name, value in re.findall(r"^figure (\S+) (\S+)", run.stdout, re.M)}


class Server(Process):
    """NATS with JetStream, as the tests start it."""

    def __init__(self, bench):
        self.port = free_port()
        folder = bench.scratch("nats")
        # As it comes: what is acknowledged is on the disk within two minutes.
        (folder / "nats.conf").write_text(f'jetstream {{ store_dir: "{folder / "jetstream"}" }}\n')
        super().__init__("nats", [bench.root / "tests" / "servers" / "server", "nats", "--port", self.port, "--folder", folder],
                         bench.out / "logs" / "nats.log")
        self.url = f"nats://127.0.0.1:{self.port}"
        self.wait_for_port(self.port)


def drain(bench, server, count, name, policy, concurrency):
    """Events a second from when the first was acknowledged to when all were."""
    sys.path.insert(0, str(bench.root / "tests"))
    from e2e.jetstream import JetStream

    figures_of(bench.programs / "nats_bench", "fill", server.url, name, count, BYTES)
    folder = bench.scratch(name)
    (folder / "echo_plain.so").write_bytes((bench.modules / "echo_plain.so").read_bytes())
    trigger = f"  - name: queue\n    nats: {{servers: ['{server.url}'], stream: {name}, consumer: bench}}\n{policy}"
    (folder / "f.yaml").write_text(MANIFEST.format(name=name.lower(), module="echo_plain.so", port=0, concurrency=concurrency, triggers=trigger))
    with mayfly.Mayfly(bench, folder, f"mayfly-{name.lower()}") as up, JetStream("127.0.0.1", server.port) as nats:
        def acknowledged():
            try:
                return nats._api(f"CONSUMER.INFO.{name}.bench", {})["ack_floor"]["stream_seq"]
            except RuntimeError:  # there is no consumer yet
                return 0

        end = time.monotonic() + 240
        first = begin = None
        cpu = None
        while True:
            now, floor = time.monotonic(), acknowledged()
            if floor and first is None:
                first, begin, cpu = floor, now, CpuMeter([up.pid, server.pid])
            if floor >= count:
                shares, _ = cpu.stop()
                return (count - first) / (now - begin), shares
            if now > end:
                raise RuntimeError(f"{floor} of {count} events were acknowledged in time")
            time.sleep(0.02)


def jetstream(bench, figures):
    """JetStream to a function, one event an invocation and a hundred, beside a client in C."""
    count = 20_000 if bench.quick else 200_000
    rounds = 1 if bench.quick else 3
    ours, batched, plain = [], [], []
    with Server(bench) as server:
        for number in range(rounds):
            figures_of(bench.programs / "nats_bench", "fill", server.url, f"PLAIN{number}", count, BYTES)
            plain.append(figures_of(bench.programs / "nats_bench", "plain", server.url, f"PLAIN{number}", count)["plain_events_per_s"])
            rate, shares = drain(bench, server, count, f"ONE{number}", "", 16)
            ours.append(rate)
            many, _ = drain(bench, server, count, f"MANY{number}", "    batch: {size: 100}\n", 4)
            batched.append(many)
    figures.add("jetstream_events_per_s", median(ours))
    figures.add("jetstream_over_plain_client", median(ours) / median(plain))
    figures.add("jetstream_batched_events_per_s", median(batched), "events/s")
    figures.add("plain_client_events_per_s", median(plain), "events/s")
    figures.note("one event an invocation: " + ", ".join(f"{name} {share:.2f} cores" for name, share in shares.items() if share > 0.02))


class KafkaServer(Process):
    """One broker of Kafka, as the tests start it."""

    def __init__(self, bench):
        self.port = free_port()
        folder = bench.scratch("kafka")
        super().__init__("kafka", [bench.root / "tests" / "servers" / "server", "kafka", "--port", self.port, "--folder", folder],
                         bench.out / "logs" / "kafka.log", env={"MAYFLY_TEST_JIT": "4"})
        self.broker = f"127.0.0.1:{self.port}"
        self.wait_for_port(self.port, 60)


def drain_kafka(bench, server, count, topic, policy, concurrency):
    """Events a second from the group's first commit to when all are committed."""
    folder = bench.scratch(topic)
    (folder / "echo_plain.so").write_bytes((bench.modules / "echo_plain.so").read_bytes())
    trigger = f"  - name: topic\n    kafka: {{brokers: ['{server.broker}'], topics: [{topic}], group: {topic}}}\n{policy}"
    (folder / "f.yaml").write_text(MANIFEST.format(name=topic, module="echo_plain.so", port=0, concurrency=concurrency, triggers=trigger))
    with mayfly.Mayfly(bench, folder, f"mayfly-{topic}") as up:
        cpu = CpuMeter([up.pid, server.pid])
        rate = figures_of(bench.programs / "kafka_bench", "watch", server.broker, topic, count, topic)["events_per_s"]
        return rate, cpu.stop()[0]


def kafka(bench, figures):
    """Kafka to a function, one event an invocation and a thousand, beside a client in C."""
    count = 20_000 if bench.quick else 200_000
    rounds = 1 if bench.quick else 3
    program = bench.programs / "kafka_bench"
    ours, batched, plain, each = [], [], [], []
    with KafkaServer(bench) as server:
        for number in range(rounds):
            topic = f"t{number}"
            figures_of(program, "fill", server.broker, topic, count, BYTES)
            plain.append(figures_of(program, "plain", server.broker, topic, count)["plain_events_per_s"])
            each.append(figures_of(program, "each", server.broker, topic, count)["plain_events_per_s"])
            rate, shares = drain_kafka(bench, server, count, topic, "", 16)
            ours.append(rate)
            figures_of(program, "fill", server.broker, f"b{number}", count, BYTES)
            batched.append(drain_kafka(bench, server, count, f"b{number}", "    batch: {size: 1000}\n", 4)[0])
    figures.add("kafka_events_per_s", median(ours), "events/s")
    figures.add("kafka_batched_events_per_s", median(batched), "events/s")
    figures.add("kafka_plain_client_events_per_s", median(plain), "events/s")
    figures.add("kafka_plain_client_commit_each_events_per_s", median(each), "events/s")
    figures.add("kafka_over_plain_client", median(ours) / median(each))
    figures.note("one event an invocation: " + ", ".join(f"{name} {share:.2f} cores" for name, share in shares.items() if share > 0.02))


def store(bench, figures):
    """The store of one machine."""
    found = figures_of(bench.programs / "store_bench")
    figures.add("store_durable_events_per_s", found["store_durable_events_per_s"])
    figures.add("store_settled_events_per_s", found["store_settled_events_per_s"], "events/s")


def cron(bench, figures):
    """How late schedules of each second are when their handlers run."""
    late = []

    def take(line, now):
        instant = datetime.datetime.fromisoformat(line.split()[0].split("@")[1].replace("Z", "+00:00"))
        late.append((now - instant.timestamp()) * 1000)

    with reports.listening(take) as port:
        folder = bench.scratch("cron")
        (folder / "reports.so").write_bytes((bench.modules / "reports.so").read_bytes())
        triggers = "".join(f"  - {{name: t{n}, cron: {{schedule: '* * * * * *'}}}}\n" for n in range(10))
        (folder / "f.yaml").write_text(MANIFEST.format(name="ticks", module="reports.so", port=port,
                                                       concurrency=10, triggers=triggers))
        with mayfly.Mayfly(bench, folder, "mayfly-cron"):
            end = time.monotonic() + 60
            while len(late) < 20 and time.monotonic() < end:
                time.sleep(0.1)
            time.sleep(2)  # what waited for the replica has run
            late.clear()
            time.sleep(5 if bench.quick else 30)
            taken = list(late)
    figures.add("cron_late_p50_ms", percentile(taken, 50), "ms")
    figures.add("cron_late_p99_ms", percentile(taken, 99))
    figures.note(f"{len(taken)} firings of 10 schedules, each stored before it ran")


def idle(bench, figures):
    """What a trigger of NATS costs that waits."""
    with Server(bench) as server:
        figures_of(bench.programs / "nats_bench", "fill", server.url, "IDLE", 0, 0)
        figures.add("idle_trigger_kb", figures_of(bench.programs / "nats_bench", "idle", server.url, "IDLE", 500)["idle_trigger_kb"])


PARTS = {"store": store, "jetstream": jetstream, "kafka": kafka, "postgres": postgres_part.postgres, "cron": cron, "idle": idle}
FIGURES = {"store": ["store_durable_events_per_s"], "jetstream": ["jetstream_events_per_s", "jetstream_over_plain_client"],
           "kafka": ["kafka_over_plain_client"], "postgres": ["row_commit_p50_ms", "rows_per_s_batched"], "cron": ["cron_late_p99_ms"], "idle": ["idle_trigger_kb"]}
