"""Daemons: processes of ours with their output in a file, which die with the process that started them."""

import ctypes
import os
import pathlib
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)  # loaded before any fork


def _tied_to(parent):
    """For a child to be killed when the thread that forked it ends, however it ends."""

    def prepare():
        _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return prepare


class Daemon:
    """One program that can be started, ended, frozen and started again. Start it from the main thread."""

    def __init__(self, name, executable, arguments, log, env=None):
        self.name = name
        self.log = pathlib.Path(log)
        self._executable = executable
        self._arguments = [name, *map(str, arguments)]
        self._env = env
        self._child = None

    def start(self):
        if self.running():
            return
        with open(self.log, "ab") as out:
            self._child = subprocess.Popen(
                self._arguments, executable=self._executable, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True, env=self._env, preexec_fn=_tied_to(os.getpid()),
            )

    def running(self):
        return self._child is not None and self._child.poll() is None

    def check(self):
        """Raises if it ended by itself."""
        if not self.running():
            raise Ended(f"{self.name} ended; the end of {self.log}:\n{self.tail()}")

    def stop(self, seconds=10):
        """Asks it to end, and kills it if it has not after `seconds`."""
        if self.running():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        if self.running():
            self.signal(signal.SIGKILL)
            self._child.wait(10)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def signal(self, number):
        if self.running():
            self._child.send_signal(number)

    @property
    def pid(self):
        return self._child.pid if self._child else None

    def tail(self, count=20):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        except OSError:
            return "(no output)"


class Ended(Exception):
    """A daemon that should run does not."""


def end(pid, seconds=5):
    """SIGTERM, then SIGKILL, to a process that need not be a child of ours; returns once it is gone."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, seconds)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if state(pid) in (None, "Z"):
                return
            time.sleep(0.01)
    raise TimeoutError(f"process {pid} does not end")


def state(pid):
    """The letter that /proc tells of a process; None if there is no such process."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2]


def with_environment(name, value):
    """{pid: words of its command} of the processes that were started with this in their environment."""
    wanted = f"{name}={value}".encode()
    found = {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                    found[int(folder.name)] = words[:-1]
            except OSError:
                pass  # it ended, or is a stranger's
    return found
