"""Keys: one authority per cluster, a certificate for each identity, and kubeconfig files that carry them."""

import base64
import contextlib
import json
import pathlib
import subprocess

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
DAYS = "3650"


class At:
    """Where the keys are in a folder, as somebody sees it who need not make any."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def key(self, name):
        return self.folder / f"{name}.key"

    def certificate(self, name):
        return self.folder / f"{name}.crt"


class Authority(At):
    """A folder of keys. What is in it already is kept, so that a cluster that starts again is the same cluster."""

    def __init__(self, folder):
        super().__init__(folder)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.certificate("ca").exists():
            with self._new("ca") as (key, certificate):
                _openssl("req", "-x509", *CURVE, "-days", DAYS, "-subj", "/CN=mayfly-test-cluster", "-keyout", key,
                         "-out", certificate)
        if not self.key("service-accounts").exists():
            key = self.folder / "service-accounts.new"
            _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
            key.rename(self.key("service-accounts"))

    def issue(self, name, subject, names=()):
        """A certificate for both ends of TLS: `subject` as /O=GROUP/CN=USER, `names` as DNS:… and IP:…"""
        if self.certificate(name).exists():
            return
        with self._new(name) as (key, certificate):
            request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
            extensions.write_text(
                "extendedKeyUsage=serverAuth,clientAuth\n" + (f"subjectAltName={','.join(names)}\n" if names else ""))
            _openssl("req", *CURVE, "-subj", subject, "-keyout", key, "-out", request)
            _openssl("x509", "-req", "-in", request, "-CA", self.certificate("ca"), "-CAkey", self.key("ca"),
                     "-CAcreateserial", "-days", DAYS, "-extfile", extensions, "-out", certificate)
            request.unlink()
            extensions.unlink()

    @contextlib.contextmanager
    def _new(self, name):
        """Files for a key and its certificate, which get their names once both are whole: the certificate last."""
        key, certificate = self.folder / f"{name}.key.new", self.folder / f"{name}.crt.new"
        yield key, certificate
        key.rename(self.key(name))
        certificate.rename(self.certificate(name))

    def write_kubeconfig(self, path, name, server):
        """A kubeconfig for the identity `name`. JSON is YAML."""

        def data(file):
            return base64.b64encode(file.read_bytes()).decode()

        path = pathlib.Path(path)
        path.touch(mode=0o600)
        path.write_text(json.dumps({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "mayfly", "cluster": {
                "server": server, "certificate-authority-data": data(self.certificate("ca"))}}],
            "users": [{"name": name, "user": {
                "client-certificate-data": data(self.certificate(name)), "client-key-data": data(self.key(name))}}],
            "contexts": [{"name": "mayfly", "context": {"cluster": "mayfly", "user": name}}],
            "current-context": "mayfly",
        }, indent=1) + "\n")
        return path


def _openssl(*arguments):
    run = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"openssl {arguments[0]} failed:\n{run.stderr}")
