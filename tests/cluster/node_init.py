"""A node's first process, in namespaces of its own: it starts and signals the node's daemons as it is told, and buries
whatever ends there. When it is killed, the kernel ends all that ran on the node, and its mounts and links are gone with it.

    node_init.py NAME STATE TOOLS

Told by lines of JSON on a socket on the host: {"do": "start", "daemon": …, "executable": …, "arguments": …, "log": …} first,
{"do": "start" | "stop" | "kill" | "freeze" | "thaw", "daemon": …} then, and {"do": "list"}. Each gets an answer:
{"ok": true, "running": [NAME…]} or {"ok": false, "error": …}.

Inside, the cluster's folder is /run/cluster and the tools' cache /run/tools, wherever they are outside; /run, /var/lib and
/var/log are the node's own. So all nodes look alike, sockets have short names, and the host keeps its folders.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from cluster import owner, tools  # noqa: E402
from cluster.process import Daemon  # noqa: E402

# What the kubelet would set for the whole machine. It finds them set, and so leaves the machine's alone.
SYSCTLS = {
    "kernel/keys/root_maxbytes": "25000000",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
}
PATH = "/run/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


def furnish(name, state, cache):
    """Makes the mount namespace that of a machine of its own."""
    socket.sethostname(name)
    mount("--make-rshared", "/")  # mounts of volumes must reach the containers
    own = state / name
    for folder in ("lib", "log"):
        (own / folder).mkdir(parents=True, exist_ok=True)
    # Held open, since what is mounted next may cover them.
    held = {target: os.open(source, os.O_PATH) for target, source in {
        "/run/cluster": state, "/run/tools": cache, "/var/lib": own / "lib", "/var/log": own / "log"}.items()}
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for folder in ("cluster", "tools", "lock", "sysctl"):
        os.mkdir(f"/run/{folder}")
    for target, source in held.items():
        subprocess.run(["mount", "--no-canonicalize", "--bind", f"/proc/self/fd/{source}", target], check=True,
                       pass_fds=[source])
        os.close(source)
    for key, value in SYSCTLS.items():
        real = pathlib.Path("/proc/sys") / key
        if real.exists():
            stand_in = pathlib.Path("/run/sysctl") / key.replace("/", ".")
            stand_in.write_text(value + "\n")
            mount("--bind", stand_in, real)
    tools.link("/run/bin", "/run/tools")


# A daemon that ended by itself is started again, as a node's systemd would; not sooner than this after it was started.
RESTART_SECONDS = 1


class Supervisor:
    def __init__(self):
        self._daemons = {}
        self._started = {}  # when, of those that are to run
        self._env = {**os.environ, "PATH": PATH, "HOME": "/run",
                     # A client notices a dead connection after 8 s instead of 45, so a node that was cut off is back soon.
                     "HTTP2_READ_IDLE_TIMEOUT_SECONDS": "5", "HTTP2_PING_TIMEOUT_SECONDS": "3"}

    def obey(self, order):
        if order["do"] != "list":
            name = order["daemon"]
            if order["do"] == "start" and "executable" in order and name not in self._daemons:
                self._daemons[name] = Daemon(name, order["executable"], order["arguments"], order["log"], self._env)
            if name not in self._daemons:
                raise ValueError(f"no daemon {name} was started here; there are {', '.join(sorted(self._daemons))}")
            if order["do"] not in ("start", "stop", "kill", "freeze", "thaw"):
                raise ValueError(f"no such order: {order['do']}")
            getattr(self._daemons[name], order["do"])()
            if order["do"] == "start":
                self._started[name] = time.monotonic()
            elif order["do"] in ("stop", "kill"):
                self._started.pop(name, None)
        return {"ok": True, "running": sorted(name for name, daemon in self._daemons.items() if daemon.running())}

    def restart(self):
        now = time.monotonic()
        for name, started in self._started.items():
            if now - started >= RESTART_SECONDS and not self._daemons[name].running():
                print(f"{name} ended by itself and is started again", flush=True)
                self._daemons[name].start()
                self._started[name] = now

    def bury(self):
        """Reaps orphans, which become ours; our own daemons are reaped by their objects."""
        ours = {daemon.pid: daemon for daemon in self._daemons.values()}
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            if found.si_pid in ours:
                ours[found.si_pid].running()
            else:
                os.waitpid(found.si_pid, os.WNOHANG)


def serve(listener):
    supervisor = Supervisor()
    listener.settimeout(0.2)
    while True:
        supervisor.bury()
        supervisor.restart()
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        with connection:
            connection.settimeout(5)
            try:
                with connection.makefile("rw", encoding="utf-8") as file:
                    try:
                        answer = supervisor.obey(json.loads(file.readline()))
                    except (OSError, ValueError, KeyError) as error:
                        answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
                    file.write(json.dumps(answer) + "\n")
            except OSError:
                pass  # whoever asked is gone


def main():
    name, state, cache = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    path = owner.RUN / f"{name}.sock"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    furnish_socket = path.with_suffix(".new")
    furnish_socket.unlink(missing_ok=True)
    listener.bind(str(furnish_socket))
    listener.listen(16)
    os.rename(furnish_socket, path)  # there only once it listens
    furnish(name, state, cache)
    serve(listener)


if __name__ == "__main__":
    main()
