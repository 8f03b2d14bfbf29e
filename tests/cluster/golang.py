"""A Go that is new enough. Debian 12's is 1.19 and knows no toolchains, but it can fetch one as the module that it is."""

import json
import os
import pathlib
import platform
import re
import shutil
import subprocess

WANTED = (1, 26, 8)
# Nothing but what is pinned: no toolchain is fetched behind our back, and no workspace of the user's counts.
ENVIRONMENT = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def command(cache):
    """The path of a go command of at least WANTED, from the PATH or fetched into `cache`."""
    found = shutil.which("go")
    if found is None:
        raise RuntimeError("there is no go on the PATH: scripts/install-packages cluster")
    if version(found) >= WANTED:
        return found
    fetched = pathlib.Path(cache) / f"go-{'.'.join(map(str, WANTED))}"
    if not (fetched / "bin" / "go").exists():
        _fetch(found, fetched)
    return fetched / "bin" / "go"


def version(go):
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=True,
                          env={**os.environ, "GOTOOLCHAIN": "local"}).stdout
    numbers = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", said)
    return tuple(int(number or 0) for number in numbers.groups())


def _fetch(go, target):
    """Toolchains are published as a module; Go checks it against its checksum database like any other."""
    name = f"golang.org/toolchain@v0.0.1-go{'.'.join(map(str, WANTED))}.linux-{ARCHITECTURES[platform.machine()]}"
    print(f"Fetching {name}, since {go} is older", flush=True)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    run = subprocess.run([go, "mod", "download", "-json", name], cwd=partial, capture_output=True, text=True, check=False,
                         env={**os.environ, "GO111MODULE": "on", "GOFLAGS": "-mod=mod"})
    if run.returncode:
        raise RuntimeError(f"{name} could not be had:\n{run.stdout}{run.stderr}")
    shutil.copytree(json.loads(run.stdout)["Dir"], partial, dirs_exist_ok=True)
    # A module is read-only, has no executables, and no go.mod below its root: Go's own toolchain switch mends this too.
    for path in [partial, *partial.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or {"bin", "tool"} & set(path.relative_to(partial).parts[:-1]) else 0o644)
        if path.name == "_go.mod":
            path.rename(path.with_name("go.mod"))
    partial.rename(target)
