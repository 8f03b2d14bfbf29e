"""The arguments of etcd and of Kubernetes' control plane, for the whole cluster and for the API server alone."""

ISSUER = "https://kubernetes.default.svc"


def etcd(data, client_port, peer_port):
    """Without fsync: what a test cluster stored need not outlive the machine's power."""
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return [
        "--name", "etcd", "--data-dir", data, "--listen-client-urls", client, "--advertise-client-urls", client,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"etcd={peer}",
        "--unsafe-no-fsync", "--heartbeat-interval", "50", "--election-timeout", "500", "--log-level", "error",
    ]


def apiserver(authority, etcd_port, port, services):
    """`services` is the range of cluster addresses; the identities apiserver and admin must have been issued."""
    return [
        "--etcd-servers", f"http://127.0.0.1:{etcd_port}", "--secure-port", port,
        "--tls-cert-file", authority.certificate("apiserver"), "--tls-private-key-file", authority.key("apiserver"),
        "--client-ca-file", authority.certificate("ca"), "--authorization-mode", "Node,RBAC", "--allow-privileged",
        "--service-cluster-ip-range", services, "--service-account-issuer", ISSUER,
        "--service-account-key-file", authority.key("service-accounts"),
        "--service-account-signing-key-file", authority.key("service-accounts"),
    ]


def controller_manager(authority, kubeconfig):
    """Alone, so it needs no lease."""
    return [
        "--kubeconfig", kubeconfig, "--use-service-account-credentials", "--leader-elect=false",
        "--kube-api-qps", 200, "--kube-api-burst", 400,
        "--root-ca-file", authority.certificate("ca"), "--service-account-private-key-file", authority.key("service-accounts"),
        "--cluster-signing-cert-file", authority.certificate("ca"), "--cluster-signing-key-file", authority.key("ca"),
    ]
