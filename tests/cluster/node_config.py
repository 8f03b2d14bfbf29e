"""The configuration files of a node's daemons. Paths are those inside the node: see node_init.py."""

import json

from cluster import layout

PAUSE = "localhost/pause:1"
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "coredns")


def containerd(number, inside):
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE, as in many containers and virtual machines, each pod would fail
    # to lower its own score.
    return f"""\
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{PAUSE}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{inside}/registries"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "{inside}/{layout.node_name(number)}/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def network(pods):
    """A bridge on the node; the addresses in use are forgotten with the node's /run."""
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [
        {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": {
            "type": "host-local", "dataDir": "/run/ipam", "ranges": [[{"subnet": pods}]], "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]}, indent=1) + "\n"


def registry():
    """hosts.toml of the local registry, which speaks plain HTTP."""
    return f'server = "http://{layout.REGISTRY}"\n'


def kubelet(number, inside):
    name = layout.node_name(number)
    return json.dumps({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"x509": {"clientCAFile": f"{inside}/pki/ca.crt"}, "anonymous": {"enabled": False},
                           "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{inside}/pki/{name}.crt",
        "tlsPrivateKeyFile": f"{inside}/pki/{name}.key",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.node_cgroup(number)}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDomain": "cluster.local",
        "clusterDNS": [layout.DNS],
        "resolvConf": "/dev/null",
        # The disk is the developer's, and may be nearly full of other things.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "maxPods": 500,
        "registryPullQPS": 0,
        # One image may be both loaded and pulled; the kubelet would not let the first name be used after the second.
        "imagePullCredentialsVerificationPolicy": "NeverVerify",
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        # Renewed each 2 s: with the controller manager's grace period, a lost node is known in about 12 s.
        "nodeLeaseDurationSeconds": 8,
        "nodeStatusUpdateFrequency": "4s",
    }, indent=1) + "\n"


def coredns(inside):
    """The second block answers what is not the cluster's: nothing. In the first it would hide every service."""
    return f"""\
cluster.local:53 in-addr.arpa:53 {{
  bind {layout.DNS}
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {inside}/kubeconfig
    ttl 1
  }}
}}
.:53 {{
  bind {layout.DNS}
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"""
