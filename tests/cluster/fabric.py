"""The network: a bridge on the host, a cable from it to each node, and plain routes to the pods behind the nodes."""

import pathlib

from cluster import layout
from cluster.shell import run, succeeds


def raise_bridge():
    if not succeeds("ip", "link", "show", layout.BRIDGE):
        # Of its own: a bridge without one takes a port's, and when that node goes, the others send to nobody for seconds.
        run("ip", "link", "add", layout.BRIDGE, "address", "02:6d:61:79:66:6c", "type", "bridge")
    run("ip", "address", "replace", f"{layout.HOST}/{layout.PREFIX}", "dev", layout.BRIDGE)
    run("ip", "link", "set", layout.BRIDGE, "up")
    if _forwarding_is_filtered() and not succeeds("iptables", "-C", *_BETWEEN_NODES):
        run("iptables", "-I", *_BETWEEN_NODES)


# Where a container engine has the kernel send what crosses a bridge through its own rules, these drop what is not its own.
_BETWEEN_NODES = ("FORWARD", "-i", layout.BRIDGE, "-o", layout.BRIDGE, "-j", "ACCEPT")


def _forwarding_is_filtered():
    switch = pathlib.Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    return switch.exists() and switch.read_text().strip() == "1" and "hook forward" in run("nft", "list", "ruleset")


def plug_in(number, pid):
    """Gives the network namespace of process `pid` its cable, address and way out, as far as it has none."""
    link = layout.node_link(number)
    inside = ("nsenter", "--net", "--target", pid)
    if not succeeds(*inside, "ip", "link", "show", "eth0"):
        if succeeds("ip", "link", "show", link):  # of a node that was killed; the kernel takes its time
            run("ip", "link", "delete", link, check=False)
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid)
    run("ip", "link", "set", link, "master", layout.BRIDGE, "up")
    run(*inside, "ip", "link", "set", "lo", "up")
    run(*inside, "ip", "address", "replace", f"{layout.node_address(number)}/{layout.PREFIX}", "dev", "eth0")
    run(*inside, "ip", "link", "set", "eth0", "up")
    run(*inside, "ip", "route", "replace", "default", "via", layout.HOST)
    run(*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1")


def route(pids):
    """Lets the host and every node reach every pod; the host reaches services by the first node. `pids`: {number: pid}."""
    for number in pids:
        run("ip", "route", "replace", layout.node_pods(number), "via", layout.node_address(number))
        for other, pid in pids.items():
            if other != number:
                run("nsenter", "--net", "--target", pid,
                    "ip", "route", "replace", layout.node_pods(number), "via", layout.node_address(number))
    run("ip", "route", "replace", layout.SERVICES, "via", layout.node_address(1))


def set_cable(number, connected):
    run("ip", "link", "set", layout.node_link(number), "up" if connected else "down")


def take_down():
    """Routes leave with the bridge, the nodes' ends with ours."""
    for number in range(1, layout.MOST_NODES + 1):
        if succeeds("test", "-e", f"/sys/class/net/{layout.node_link(number)}"):
            run("ip", "link", "delete", layout.node_link(number), check=False)
    if succeeds("test", "-e", f"/sys/class/net/{layout.BRIDGE}"):
        run("ip", "link", "delete", layout.BRIDGE)
    if _forwarding_is_filtered():
        while succeeds("iptables", "-D", *_BETWEEN_NODES):
            pass
