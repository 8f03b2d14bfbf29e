"""The API server's plain HTTP answers, without starting kubectl for each: health, what a path holds, and writes."""

import base64
import http.client
import json
import os
import ssl
import tempfile
import urllib.parse


class Api:
    """Reads a kubeconfig as pki.py writes it."""

    def __init__(self, kubeconfig):
        with open(kubeconfig, encoding="utf-8") as file:
            config = json.load(file)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._address = urllib.parse.urlparse(cluster["server"]).netloc
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        # Python takes a client's key only from a file.
        with tempfile.NamedTemporaryFile("wb", delete=False) as file:
            file.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        try:
            self._context.load_cert_chain(file.name)
        finally:
            os.unlink(file.name)

    def get(self, path, timeout=10):
        """(status, body) of a GET. Raises OSError if there is no answer."""
        return self._ask("GET", path, None, {}, timeout)

    def create(self, path, what):
        """The object as it was made of `what`, in the list at `path`."""
        return self._write("POST", path, what, "application/json")

    def patch(self, path, what):
        """The object as it is with the fields of `what`, a merge patch."""
        return self._write("PATCH", path, what, "application/merge-patch+json")

    def _write(self, method, path, what, content_type):
        status, body = self._ask(method, path, json.dumps(what), {"Content-Type": content_type}, 10)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {body[:300]}")
        return json.loads(body)

    def _ask(self, method, path, body, headers, timeout):
        connection = http.client.HTTPSConnection(self._address, timeout=timeout, context=self._context)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def ready(self):
        return self.get("/readyz", timeout=2)[0] == 200

    def object(self, path):
        """What a path holds, parsed; None if there is nothing."""
        status, body = self.get(path)
        if status == 404:
            return None
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body[:300]}")
        return json.loads(body)
