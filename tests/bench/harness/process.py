"""Processes under measurement: started, waited for, their CPU and memory read from /proc, and ended."""

import os
import pathlib
import signal
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A child in a group of its own, its output in a file. Use as a context: it is gone at the end."""

    def __init__(self, name, arguments, log, env=None):
        self.name = name
        self.log = pathlib.Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._out = open(self.log, "wb")
        self._child = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL, stdout=self._out, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **(env or {})},
        )
        self.pid = self._child.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, seconds=10):
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._child.wait()
        self._out.close()

    def text(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, found, seconds=30):
        """Waits until found(text of its output) is true, and returns what it was."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            result = found(self.text())
            if result:
                return result
            if self._child.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self._child.returncode}:\n{self.text()[-2000:]}")
            time.sleep(0.005)
        raise RuntimeError(f"{self.name} was not ready within {seconds} s:\n{self.text()[-2000:]}")

    def wait_for_port(self, port, seconds=30):
        def answers(_):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return True
            except OSError:
                return False

        self.wait_for(answers, seconds)


def read_stat(pid):
    """(parent, name, CPU seconds) of a process; None if it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    begin, end = text.index("("), text.rindex(")")
    fields = text[end + 2 :].split()
    return int(fields[1]), text[begin + 1 : end], (int(fields[11]) + int(fields[12])) / TICKS


def processes_named(program):
    """The pids of all processes of that name on this machine."""
    stats = ((int(entry), read_stat(int(entry))) for entry in os.listdir("/proc") if entry.isdigit())
    return [pid for pid, stat in stats if stat and stat[1] == program[:15]]


def tree_of(root):
    """{pid: name} of a process and all its descendants."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = read_stat(int(entry))
            if stat:
                parents[int(entry)] = (stat[0], stat[1])
    tree = {}
    if root in parents:
        tree[root] = parents[root][1]
    grown = True
    while grown:
        grown = False
        for pid, (parent, name) in parents.items():
            if parent in tree and pid not in tree:
                tree[pid] = name
                grown = True
    return tree


class CpuMeter:
    """How much CPU the processes under some roots used since it was made, by program name."""

    def __init__(self, roots):
        self._roots = roots
        self._begin = self._read()
        self._time = time.monotonic()

    def _read(self):
        seen = {}
        for root in self._roots:
            for pid in tree_of(root):
                stat = read_stat(pid)
                if stat:
                    seen[pid] = (stat[1], stat[2])
        return seen

    def stop(self):
        """({name: share of one core}, CPU seconds of all)."""
        wall = time.monotonic() - self._time
        used = {}
        for pid, (name, seconds) in self._read().items():
            used[name] = used.get(name, 0.0) + seconds - self._begin.get(pid, ("", 0.0))[1]
        return {name: seconds / wall for name, seconds in sorted(used.items())}, sum(used.values())


def memory(pid):
    """{"rss": MB, "pss": MB, "own": MB that nobody shares}; None if it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    kilobytes = {}
    for line in text.splitlines()[1:]:
        key, _, value = line.partition(":")
        kilobytes[key] = int(value.split()[0])
    return {
        "rss": kilobytes["Rss"] / 1024,
        "pss": kilobytes["Pss"] / 1024,
        "own": (kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]) / 1024,
    }
