"""JetStream, as far as a test needs it: NATS' own protocol over a socket (docs.nats.io/reference/reference-protocols/nats-protocol)."""

import json
import socket


class JetStream:
    """One connection. Not thread-safe."""

    def __init__(self, host, port=4222, seconds=10, **login):
        self._socket = socket.create_connection((host, port), timeout=seconds)
        self._file = self._socket.makefile("rb")
        self._line()  # INFO
        self._send(f"CONNECT {json.dumps({'verbose': False, 'pedantic': True, 'lang': 'python', 'version': '1', **login})}\r\nPING\r\n")
        self._await("PONG")
        self._send("SUB answers 1\r\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._socket.close()

    def create_stream(self, name, subjects, replicas=1):
        return self._api(f"STREAM.CREATE.{name}", {"name": name, "subjects": subjects, "retention": "limits", "storage": "file",
                                                   "num_replicas": replicas, "max_age": 0})

    def stream(self, name):
        return self._api(f"STREAM.INFO.{name}", {})

    def consumers(self, stream):
        return self._api(f"CONSUMER.LIST.{stream}", {"offset": 0})["consumers"]

    def publish(self, subject, body):
        """Its sequence, once it is stored."""
        return self._request(subject, body)["seq"]

    def _api(self, what, body):
        return self._request(f"$JS.API.{what}", json.dumps(body))

    def _request(self, subject, body):
        body = body.encode() if isinstance(body, str) else body
        self._socket.sendall(f"PUB {subject} answers {len(body)}\r\n".encode() + body + b"\r\n")
        words = self._await("MSG").split()
        answer = json.loads(self._file.read(int(words[-1]) + 2))
        if "error" in answer:
            raise RuntimeError(f"{subject}: {answer['error']}")
        return answer

    def _await(self, verb):
        while True:
            line = self._line()
            if line.startswith("-ERR"):
                raise RuntimeError(f"NATS says {line}")
            if line == "PING":
                self._send("PONG\r\n")
            elif line.startswith(verb):
                return line

    def _line(self):
        line = self._file.readline().decode()
        if not line:
            raise OSError("NATS closed the connection")
        return line.rstrip("\r\n")

    def _send(self, text):
        self._socket.sendall(text.encode())
