"""Where the cluster keeps things, and which addresses it takes. One cluster at a time: they are the machine's."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Tests that bring up a cluster of their own keep it apart from the one that somebody works with.
STATE = pathlib.Path(os.environ.get("MAYFLY_CLUSTER_FOLDER") or ROOT / "build" / "cluster")
KUBECONFIG = STATE / "kubeconfig"
BIN = STATE / "bin"
LOGS = STATE / "log"

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
