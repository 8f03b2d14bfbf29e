"""Where the cluster keeps things, and which addresses it takes. One cluster at a time: they are the machine's."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATE = ROOT / "build" / "cluster"
KUBECONFIG = STATE / "kubeconfig"
BIN = STATE / "bin"
LOGS = STATE / "log"

# Of the machine, so that two checkouts see each other: who has the addresses, and the sockets of the nodes' first processes.
RUN = pathlib.Path("/run/mayfly-cluster")

# In the environment of every process of the cluster that runs on the host; its value is STATE.
MARK = "MAYFLY_CLUSTER"

# 198.18.0.0/15 is reserved for tests of networks, so nobody has it. No route leaves the machine.
BRIDGE = "mayfly0"
HOST = "198.18.0.1"
PREFIX = 24
PODS = "198.18.64.0/18"
SERVICES = "198.19.0.0/16"
FIRST_SERVICE = "198.19.0.1"  # kubernetes.default
REGISTRY = f"{HOST}:5000"
MOST_NODES = 50


def node_name(number):
    return f"node{number}"


def node_address(number):
    return f"198.18.0.{10 + number}"


def node_pods(number):
    return f"198.18.{64 + number}.0/24"


def node_link(number):
    """The host's end of the node's cable; the node's own is eth0."""
    return f"mayfly-n{number}"


def node_cgroup(number):
    return f"mayfly-node{number}"


API_SERVER = node_address(1)
DNS = node_address(1)
SERVER = f"https://{API_SERVER}:6443"
