"""The cluster as a whole: brought up, looked at, taken down. Each step does what is missing, so it can be repeated after any failure."""

import contextlib
import fcntl
import datetime
import os
import pathlib
import shutil
import signal

from cluster import cgroups, control_plane, fabric, images, layout, node_config, owner, pki, process, tools, wait
from cluster.api import Api
from cluster.node import INSIDE, Node

LOCK = pathlib.Path("/run/lock/mayfly-cluster")


class Refused(RuntimeError):
    """This machine, or somebody on it, does not allow it now."""


@contextlib.contextmanager
def _alone():
    """One up or down at a time on this machine."""
    with open(LOCK, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Waiting for another `make cluster` or `make cluster-down`", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def nodes():
    """Those that exist, by their folders, in order."""
    numbers = [number for number in range(1, layout.MOST_NODES + 1) if (layout.STATE / layout.node_name(number)).is_dir()]
    return [Node(number) for number in numbers]


def running_nodes():
    found = [node for node in nodes() if node.running()]
    if not found:
        raise Refused("no cluster of this checkout runs: make cluster")
    return found


def check():
    """Raises Refused, with the reason, if this machine cannot run this checkout's cluster now."""
    if os.geteuid() != 0:
        raise Refused("a cluster is made of network namespaces, mounts and cgroups: run this as root (an API server alone, "
                      "tests/cluster/apiserver, needs no root)")
    if not cgroups.MOUNT.is_dir() or not os.access(cgroups.MOUNT, os.W_OK):
        raise Refused(f"{cgroups.MOUNT} cannot be written: a container without its own cgroups cannot run a kubelet")
    if owner.read() not in (None, str(layout.STATE)):
        raise Refused(f"another checkout's cluster runs on this machine: {owner.read()}. Take it down there first: make cluster-down")


def up(count):
    """Brings it up with `count` nodes, or more if it has more. True if all of it was up already."""
    if not 1 <= count <= layout.MOST_NODES:
        raise Refused(f"NODES must be 1 to {layout.MOST_NODES}")
    check()
    with _alone():
        check()  # somebody may have come before us
        count = max(count, sum(node.running() for node in nodes()))
        wanted = [Node(number) for number in range(1, count + 1)]
        if _complete(wanted):
            return True
        owner.write(layout.STATE)
        for folder in (layout.STATE, layout.LOGS):
            folder.mkdir(parents=True, exist_ok=True)
        _write_configuration(wanted)
        tools.link(layout.BIN)
        fabric.raise_bridge()
        for node in wanted:
            node.boot()
        fabric.route({node.number: node.pid() for node in wanted})
        _start_control_plane(wanted[0])
        images.Registry().start()
        begin = _now()
        for node in wanted:
            node.start_container_runtime(images.pause())
            node.start_kubelet()
        _wait(wanted, begin)
        return False


def _complete(wanted):
    """Whether all that `up` starts runs and is ready."""
    if owner.read() is None or not all(node.running() for node in wanted) or not images.Registry().running():
        return False
    for node in wanted:
        want = {"containerd", "kubelet", "kube-proxy", *(node_config.CONTROL_PLANE if node.number == 1 else ())}
        if want - set(node.daemons()):
            return False
    try:
        return Api(layout.KUBECONFIG).ready() and all(_ready(node) for node in wanted)
    except OSError:
        return False


def _write_configuration(wanted):
    """Keys and files for all that is started; those that are there stay."""
    authority = pki.Authority(layout.STATE / "pki")
    authority.issue("apiserver", "/CN=kube-apiserver", [
        "DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc", "DNS:localhost", "IP:127.0.0.1",
        f"IP:{layout.API_SERVER}", f"IP:{layout.FIRST_SERVICE}"])
    users = {"admin": "/O=system:masters/CN=admin", "controllers": "/CN=system:kube-controller-manager",
             "scheduler": "/CN=system:kube-scheduler", "proxy": "/CN=system:kube-proxy"}
    for node in wanted:
        users[node.name] = f"/O=system:nodes/CN=system:node:{node.name}"
        authority.issue(node.name, users[node.name], [f"DNS:{node.name}", f"IP:{layout.node_address(node.number)}"])
    for name, subject in users.items():
        authority.issue(name, subject)
        path = layout.KUBECONFIG if name == "admin" else layout.STATE / f"{name}.kubeconfig"
        authority.write_kubeconfig(path, name, layout.SERVER)
    registry = layout.STATE / "registries" / layout.REGISTRY
    registry.mkdir(parents=True, exist_ok=True)
    (registry / "hosts.toml").write_text(node_config.registry())
    (layout.STATE / "Corefile").write_text(node_config.coredns(INSIDE))


def _start_control_plane(node):
    inside = pki.At(INSIDE / "pki")
    node.launch("etcd", control_plane.etcd(INSIDE / "etcd", 2379, 2380))
    node.launch("kube-apiserver", control_plane.apiserver(inside, 2379, 6443, layout.SERVICES) + [
        "--advertise-address", layout.API_SERVER, "--kubelet-preferred-address-types", "InternalIP",
        "--kubelet-client-certificate", inside.certificate("admin"), "--kubelet-client-key", inside.key("admin"),
        "--enable-admission-plugins", "NodeRestriction"])
    # A node that is cut off is NotReady after 12 s instead of 50.
    node.launch("kube-controller-manager", control_plane.controller_manager(inside, INSIDE / "controllers.kubeconfig") + [
        "--node-monitor-period", "1s", "--node-monitor-grace-period", "12s"])
    node.launch("kube-scheduler", ["--kubeconfig", INSIDE / "scheduler.kubeconfig", "--leader-elect=false"])
    node.launch("coredns", ["-conf", INSIDE / "Corefile"])


def _now():
    return datetime.datetime.now(datetime.timezone.utc)


def _ready(node, since=None):
    """Whether its kubelet said so; not only before `since`, when the cluster was last up."""
    api = Api(layout.KUBECONFIG)
    lease = api.object(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node.name}")
    if not lease or (since and datetime.datetime.fromisoformat(lease["spec"]["renewTime"].replace("Z", "+00:00")) < since):
        return False
    found = api.object(f"/api/v1/nodes/{node.name}")
    conditions = found["status"].get("conditions", []) if found else []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _wait(wanted, begin):
    api = Api(layout.KUBECONFIG)
    wait.until(api.ready, 60, f"the API server is ready; the logs are in {layout.LOGS}")
    for node in wanted:
        wait.until(lambda node=node: _ready(node, begin), 60, f"{node.name} is Ready; the logs are in {layout.LOGS}", every=0.1)
    wait.until(lambda: api.object("/api/v1/namespaces/default/serviceaccounts/default"), 30,
               "the controllers make a service account")


def down(wipe=False):
    """Ends all of it, however little of it came up; the state stays, unless it is to be wiped."""
    check()
    with _alone():
        check()  # somebody may have come before us
        cgroups.thaw_all()
        for number in range(1, layout.MOST_NODES + 1):
            if (owner.RUN / f"{layout.node_name(number)}.sock").exists():
                Node(number).kill()
        for pid in process.with_environment(layout.MARK, str(layout.STATE)):
            if pid != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        wait.until(lambda: not process.with_environment(layout.MARK, str(layout.STATE)), 10, "the cluster's processes are gone")
        fabric.take_down()
        cgroups.remove()
        shutil.rmtree(owner.RUN, ignore_errors=True)
        if wipe:
            shutil.rmtree(layout.STATE, ignore_errors=True)
