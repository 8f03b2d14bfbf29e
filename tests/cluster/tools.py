"""The programs that clusters are made of: each built once, from what tools.tsv pins, into a cache outside the checkout."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from cluster import golang

HERE = pathlib.Path(__file__).resolve().parent
# One executable that is all of these, by the name it is called.
KUBE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")


class Tool:
    def __init__(self, name, version, package, cgo, extra="", tags=""):
        self.name, self.version, self.package, self.cgo, self.extra = name, version, package, cgo, bool(extra)
        self.tags = tags

    @property
    def file(self):
        return f"{self.name}-{self.version}"

    @property
    def path(self):
        """Where it is once it is built. The version is in the name: another checkout may need another one."""
        return cache() / self.file


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "mayfly" / "tools"


def read_list():
    """{name: Tool} of tools.tsv."""
    rows = [line.split("\t") for line in (HERE / "tools.tsv").read_text().splitlines() if line and not line.startswith("#")]
    return {row[0]: Tool(*row) for row in rows}


def executable(program):
    """The file behind a program's name. For those of KUBE, call it with that name as its argv[0]."""
    tool = providing(program)
    if not tool.path.exists():
        raise Missing(f"{tool.path} is not built yet. Run: make cluster-tools")
    return tool.path


def providing(program):
    return read_list()["kube" if program in KUBE else program]


class Missing(Exception):
    """A tool that nobody built yet, or knows how to."""


def link(folder, of=None):
    """Makes `folder` one for a PATH: the tools in the folder `of`, the cache, by their plain names, as far as they are built."""
    of = pathlib.Path(of or cache())
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, tool in read_list().items():
        for program in KUBE if name == "kube" else (name,):
            target = folder / program
            target.unlink(missing_ok=True)
            if (of / tool.file).exists():
                target.symlink_to(of / tool.file)


def build(names=None):
    """Builds those of `names` (what a cluster needs) that are missing; tells of each as it begins and ends."""
    known = read_list()
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise Missing(f"no such tool: {', '.join(unknown)}; tools.tsv has {', '.join(known)}")
    wanted = [known[name] for name in names] if names else [tool for tool in known.values() if not tool.extra]
    missing = [tool for tool in wanted if not tool.path.exists()]
    if not missing:
        return
    cache().mkdir(parents=True, exist_ok=True)
    go = golang.command(cache())
    print(f"Building {len(missing)} tools into {cache()}, once: {', '.join(tool.name for tool in missing)}", flush=True)
    for number, tool in enumerate(missing, 1):
        begin = time.monotonic()
        note = " (the longest: some ten minutes)" if tool.name == "kube" else ""
        print(f"  [{number}/{len(missing)}] {tool.name} {tool.version}{note}", flush=True)
        _build(go, tool)
        print(f"        {time.monotonic() - begin:.0f} s", flush=True)


def _build(go, tool):
    with tempfile.TemporaryDirectory(prefix=".building.", dir=cache()) as scratch:
        scratch = pathlib.Path(scratch)
        env = {**os.environ, **golang.ENVIRONMENT, "CGO_ENABLED": tool.cgo, "GOBIN": str(scratch)}
        flags = ["-trimpath", "-buildvcs=false", "-ldflags", "-s -w", *(["-tags", tool.tags] if tool.tags else [])]
        if tool.package.endswith("/"):
            command, folder = [go, "build", *flags, "-o", scratch / "built", "."], HERE / tool.package
        else:
            command, folder = [go, "install", *flags, tool.package], scratch
        log = cache() / f"{tool.file}.log"
        with open(log, "wb") as out:
            run = subprocess.run([str(part) for part in command], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT, check=False)
        if run.returncode:
            lines = log.read_text(errors="replace").splitlines()
            print("\n".join(lines[-15:]), file=sys.stderr)
            raise RuntimeError(f"{tool.name} {tool.version} did not build; all that Go said is in {log}")
        log.unlink()
        built = [path for path in scratch.iterdir() if path.is_file() and os.access(path, os.X_OK)]
        if len(built) != 1:
            raise RuntimeError(f"{tool.package} built {len(built)} programs, not one")
        shutil.move(built[0], tool.path)  # at once, so another build never sees half of it
