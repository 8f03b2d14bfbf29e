"""What a cluster could leave behind on a machine, so that a test can look."""

import os
import pathlib

from cluster import cgroups, layout, node_init, owner, process, shell


def snapshot():
    """{what: set of those there are}, of what the cluster's parts make on a host."""
    mounts = [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    folders = ("/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods", "/etc/cni",
               "/run/containerd", "/run/netns", "/run/nri", owner.RUN)
    return {
        "processes": {f"{pid} {' '.join(words)}" for pid, words in process.with_environment(layout.MARK, str(layout.STATE)).items()},
        "mounts": {f"{words[4]} {words[words.index('-') + 1]}" for words in mounts},
        "interfaces": set(os.listdir("/sys/class/net")),
        "routes": _lines("ip", "route", "show", "table", "all") | _lines("ip", "-6", "route", "show", "table", "all"),
        "rules": _lines("ip", "rule") | _lines("nft", "--stateless", "list", "ruleset"),
        "cgroups": {str(folder) for folder in cgroups.found()},
        "settings": {f"{key} = {(pathlib.Path('/proc/sys') / key).read_text().strip()}" for key in node_init.SYSCTLS},
        "folders": {str(folder) for folder in folders if os.path.exists(folder)},
    }


def _lines(*command):
    return set(shell.run(*command).splitlines())


def added(before, after):
    """One line for each that came."""
    return [f"{what}: {entry}" for what in before for entry in sorted(after[what] - before[what])]
