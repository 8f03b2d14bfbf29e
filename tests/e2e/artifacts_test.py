"""Where modules come from in a cluster: a URL, S3, an image that `mayfly build --push` made, a registry with a password."""

import base64
import functools
import hashlib
import http.server
import json
import os
import pathlib
import re
import socketserver
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request

from cluster import layout, node_config, shell, tools, wait
from e2e.release import Release, get

BUILT = layout.ROOT / "build" / "release"
MODULE = BUILT / "examples" / "hello.so"
DIGEST = hashlib.sha256(MODULE.read_bytes()).hexdigest() if MODULE.exists() else ""


def function(name, artifact, **spec):
    return {"apiVersion": "mayfly.dev/v1alpha1", "kind": "Function", "metadata": {"name": name},
            "spec": {"artifact": artifact, "triggers": [{"name": "http", "http": {"path": f"/{name}"}}], **spec}}


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """On the host's end of the bridge, as long as the test lasts."""

    daemon_threads = True

    def __init__(self, test, handler):
        super().__init__((layout.HOST, 0), handler)
        test.addCleanup(self.server_close)
        test.addCleanup(self.shutdown)
        threading.Thread(target=self.serve_forever).start()
        self.address = f"{layout.HOST}:{self.server_port}"


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class WithPassword(http.server.BaseHTTPRequestHandler):
    """The local registry, for ada alone."""

    def do_GET(self):
        if self.headers.get("Authorization") != "Basic " + base64.b64encode(b"ada:secret").decode():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="registry"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        request = urllib.request.Request(f"http://{layout.REGISTRY}{self.path}", method=self.command,
                                         headers={"Accept": self.headers.get("Accept", "*/*")})
        try:
            answer = urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        body = answer.read()
        self.send_response(answer.status)
        for name in ("Content-Type", "Docker-Content-Digest"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", answer.headers.get("Content-Length", str(len(body))))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


class Artifacts(Release):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory())) / "hello.c"
        cls.source.write_bytes((layout.ROOT / "examples" / "hello-c" / "hello.c").read_bytes())

    def apply(self, name, artifact, **spec):
        self.cluster.apply(function(name, artifact, **spec), self.namespace)
        self.addCleanup(self.cluster.delete, "fn", name, self.namespace)

    def await_answer(self, name):
        self.kubectl("wait", "--for=condition=Ready", f"fn/{name}", "--timeout=30s")
        self.assertEqual(get(self.gateway, f"/{name}?name=Ada", seconds=60), (200, "Hello, Ada!\n"))

    def await_words(self, name, words):
        """In what `kubectl describe` says of its status."""
        wait.until(lambda: re.search(words, self.kubectl("describe", "fn", name).partition("Status:")[2]), 60,
                   f"describe of {name} says {words}", every=0.5)

    def push(self, reference):
        """What `mayfly build --push` prints."""
        # In one folder: what a compiler says of the source's place is in the module.
        said = shell.run(BUILT / "bin" / "mayfly", "build", self.source, "--push", reference, "--plain-http", seconds=120)
        return re.search(r"image: (\S+)", said).group(1)

    def test_a_module_at_a_url_is_fetched(self):
        server = Server(self, functools.partial(Files, directory=str(MODULE.parent)))
        self.apply("fetched", {"url": f"http://{server.address}/hello.so", "sha256": DIGEST})
        self.await_answer("fetched")

    def test_a_module_that_cannot_be_fetched_says_why(self):
        server = Server(self, functools.partial(Files, directory=str(MODULE.parent)))
        self.apply("other", {"url": f"http://{server.address}/hello.so", "sha256": "0" * 64}, scaling={"minReplicas": 1})
        self.apply("nowhere", {"url": f"http://{server.address}/none.so", "sha256": DIGEST}, scaling={"minReplicas": 1})
        self.await_words("other", f"hello.so has the SHA-256\\s+{DIGEST}")
        self.await_words("nowhere", "none.so cannot be fetched: the server answers\\s+404")

    def test_a_module_in_s3_is_fetched_with_the_secrets_keys(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        address = f"{layout.HOST}:9100"
        store = subprocess.Popen([tools.executable("minio"), "server", "--address", address, folder], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL,
                                 env={**os.environ, "MINIO_ROOT_USER": "mayfly", "MINIO_ROOT_PASSWORD": "mayflysecret"})
        self.addCleanup(store.wait)
        self.addCleanup(store.kill)
        curl = ["curl", "--silent", "--fail", "--noproxy", "*", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "mayfly:mayflysecret"]
        wait.until(lambda: shell.succeeds(*curl, "-X", "PUT", f"http://{address}/modules"), 60, "MinIO has a bucket", every=0.5)
        shell.run(*curl, "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--upload-file", MODULE, f"http://{address}/modules/hello.so")
        artifact = {"url": "s3://modules/hello.so", "sha256": DIGEST, "credentialsSecret": "modules"}
        self.kubectl("create", "secret", "generic", "modules", f"--from-literal=AWS_ENDPOINT_URL=http://{address}",
                     "--from-literal=AWS_ACCESS_KEY_ID=mayfly", "--from-literal=AWS_SECRET_ACCESS_KEY=mayflysecret")
        self.apply("stored", artifact)
        self.await_answer("stored")

    def test_an_image_that_build_pushed_is_mounted(self):
        image = self.push(f"{layout.REGISTRY}/e2e/greeter:1")
        self.assertEqual(self.push(f"{layout.REGISTRY}/e2e/greeter:1"), image)
        self.apply("carried", {"image": image})
        self.await_answer("carried")

    def test_an_image_of_a_registry_with_a_password_needs_its_pull_secret(self):
        server = Server(self, WithPassword)
        hosts = layout.STATE / "registries" / server.address
        hosts.mkdir(parents=True)
        (hosts / "hosts.toml").write_text(node_config.registry().replace(layout.REGISTRY, server.address))
        self.addCleanup(hosts.rmdir)
        self.addCleanup((hosts / "hosts.toml").unlink)
        image = self.push(f"{layout.REGISTRY}/e2e/guarded:1").replace(layout.REGISTRY, server.address)
        self.apply("refused", {"image": image}, scaling={"minReplicas": 1})
        self.await_words("refused", "401\\s+Unauthorized|authorization\\s+failed|no\\s+basic\\s+auth")
        login = json.dumps({"auths": {server.address: {"auth": base64.b64encode(b"ada:secret").decode()}}})
        self.kubectl("create", "secret", "generic", "registry", "--type=kubernetes.io/dockerconfigjson",
                     f"--from-literal=.dockerconfigjson={login}")
        self.apply("admitted", {"image": image}, imagePullSecrets=[{"name": "registry"}])
        self.await_answer("admitted")
