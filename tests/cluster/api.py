"""The API server's plain HTTP answers, without starting kubectl for each: health, and GET of a path."""

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
        connection = http.client.HTTPSConnection(self._address, timeout=timeout, context=self._context)
        try:
            connection.request("GET", path)
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
