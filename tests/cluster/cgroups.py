"""A node's cgroups: one folder below which its daemons and its pods live, to bound, freeze and find them. v1 and v2."""

import pathlib

from cluster import wait

MOUNT = pathlib.Path("/sys/fs/cgroup")
CONTROLLERS = ("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids", "systemd")  # of v1


def unified():
    return (MOUNT / "cgroup.controllers").exists()


def _roots():
    if unified():
        return [MOUNT]
    return [MOUNT / name for name in CONTROLLERS if (MOUNT / name).is_dir()]


def _freezer(name):
    return (MOUNT if unified() else MOUNT / "freezer") / name


def create(name):
    """The kubelet wants its root to be there."""
    if unified():
        enabled = (MOUNT / "cgroup.controllers").read_text().split()
        (MOUNT / "cgroup.subtree_control").write_text(" ".join("+" + controller for controller in enabled))
    for root in _roots():
        (root / name).mkdir(exist_ok=True)
    for setting in ("cpuset.cpus", "cpuset.mems"):  # of v1, where a new folder has none and takes no process
        source = MOUNT / "cpuset" / setting
        if source.exists():
            (MOUNT / "cpuset" / name / setting).write_text(source.read_text())


def adopt(name, pid):
    """What this process starts can be frozen with the node. Its pods come below the same folder by the kubelet's doing."""
    daemons = _freezer(name) / "daemons"
    daemons.mkdir(exist_ok=True)
    (daemons / "cgroup.procs").write_text(str(pid))


def freeze(name, frozen, seconds=10):
    folder = _freezer(name)
    if unified():
        (folder / "cgroup.freeze").write_text("1" if frozen else "0")
        wait.until(lambda: f"frozen {int(frozen)}" in (folder / "cgroup.events").read_text(), seconds, f"{name} is frozen")
    else:
        state = "FROZEN" if frozen else "THAWED"
        (folder / "freezer.state").write_text(state)
        wait.until(lambda: (folder / "freezer.state").read_text().strip() == state, seconds, f"{name} is {state}")


def thaw_all():
    """The frozen cannot even be killed."""
    for folder in _freezer("").glob("mayfly-node*"):
        freeze(folder.name, False)


def found(pattern="mayfly-node*"):
    """Every folder of nodes, the deepest first."""
    tops = [*MOUNT.glob(pattern), *MOUNT.glob(f"*/{pattern}")]  # v1 has a folder for each controller, and more
    return [folder for top in tops for folder in (*sorted(_below(top), key=lambda path: -len(path.parts)), top)]


def _below(top):
    return [path for path in top.rglob("*") if path.is_dir()]


def remove(pattern="mayfly-node*", seconds=10):
    """Returns once they are gone. A folder can stay busy for a moment after its last process."""

    def gone():
        for folder in found(pattern):
            try:
                folder.rmdir()
            except OSError:
                pass
        return not found(pattern)

    wait.until(gone, seconds, f"the cgroups {pattern} are gone", every=0.05)
