"""Apache Kafka for a test: fetched once by Maven, one process that is broker and controller."""

import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

from cluster import tools

HERE = pathlib.Path(__file__).resolve().parent / "kafka"
VERSION = "4.3.1"  # pom.xml has it too
# What a test may put into kafka.properties in the server's folder comes after these, and so wins.
SETTINGS = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=BROKER
listeners=CONTROLLER://127.0.0.1:{controller},BROKER://127.0.0.1:{broker},CLIENT://127.0.0.1:{port}
advertised.listeners=BROKER://127.0.0.1:{broker},CLIENT://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,CLIENT:PLAINTEXT
log.dirs={data}
num.network.threads=2
num.io.threads=4
num.partitions=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
log.cleaner.enable=true
"""

def folder():
    """Where its jars are once they are fetched."""
    return tools.cache() / f"kafka-{VERSION}"


def prepare():
    """Fetches the jars that are not there, and holds them to jars.sha256."""
    if folder().exists():
        return
    maven = shutil.which("mvn")
    if maven is None:
        raise tools.Missing("there is no mvn on the PATH: scripts/install-packages servers")
    tools.cache().mkdir(parents=True, exist_ok=True)
    print(f"Fetching Kafka {VERSION} into {folder()}, once", flush=True)
    with tempfile.TemporaryDirectory(prefix=".fetching.", dir=tools.cache()) as scratch:
        jars = pathlib.Path(scratch) / "jars"
        log = tools.cache() / f"kafka-{VERSION}.log"
        with open(log, "wb") as out:
            run = subprocess.run([maven, "--batch-mode", "--file", HERE / "pom.xml", "dependency:copy-dependencies",
                                  "-DincludeScope=runtime", f"-DoutputDirectory={jars}"],
                                 cwd=scratch, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False)
        if run.returncode:
            print("\n".join(log.read_text(errors="replace").splitlines()[-15:]), file=sys.stderr)
            raise RuntimeError(f"Kafka {VERSION} could not be fetched; all that Maven said is in {log}")
        log.unlink()
        check(jars)
        shutil.move(jars, folder())  # at once, so another build never sees half of it


def check(jars):
    """Raises unless `jars` holds exactly what jars.sha256 lists."""
    wanted = dict(reversed(line.split()) for line in (HERE / "jars.sha256").read_text().splitlines() if line)
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in jars.iterdir()}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        raise RuntimeError(f"what Maven fetched of Kafka {VERSION} is not what {HERE / 'jars.sha256'} lists: {', '.join(wrong)}")


def java(*arguments):
    """The command that runs a class of Kafka's."""
    program = shutil.which("java")
    if program is None:
        raise tools.Missing("there is no java on the PATH: scripts/install-packages servers")
    if not folder().exists():
        raise tools.Missing(f"{folder()} is not there yet. Run: tests/servers/server prepare")
    return [program, "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=" + os.environ.get("MAYFLY_TEST_JIT", "1"),
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{folder()}/*", *arguments]


def start(port, data, arguments):
    """What to execute for a broker at `port` whose folder is `data`. The first start formats it; `arguments` are the formatter's, such as users."""
    config = data / "server.properties"
    own = data / "kafka.properties"
    ports = data / "ports"
    if not ports.exists():
        ports.write_text(" ".join(map(str, free_ports(2))))
    broker, controller = ports.read_text().split()
    config.write_text(SETTINGS.format(port=port, broker=broker, controller=controller, data=data / "kafka")
                      + (own.read_text() if own.exists() else "").replace("${port}", str(port)).replace("${broker}", broker))
    if not (data / "kafka" / "meta.properties").exists():
        subprocess.run(java("kafka.tools.StorageTool", "format", "--ignore-formatted",
                            "--cluster-id", "bWF5Zmx5LXVuZGVyLXRlc3", "--config", str(config), *arguments),
                       check=True, stdout=subprocess.DEVNULL)
    return java("kafka.Kafka", str(config)), f"127.0.0.1:{port}"


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
