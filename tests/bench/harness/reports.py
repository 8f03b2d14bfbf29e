"""What the test module `reports` says of each of its invocations, over TCP."""

import contextlib
import socketserver
import threading
import time


@contextlib.contextmanager
def listening(on_report):
    """The port to which the module's `config: {port: …}` is to be set. `on_report(line, now)` gets each report with the time at which it came, on a thread of its own."""

    class Report(socketserver.StreamRequestHandler):
        def handle(self):
            line = self.rfile.readline().decode()
            on_report(line, time.time())
            self.wfile.write(b"done")

    class Listener(socketserver.ThreadingTCPServer):
        request_queue_size = 128  # a connection that finds the queue full is tried again a second later

    with Listener(("127.0.0.1", 0), Report) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        try:
            yield listener.server_address[1]
        finally:
            listener.shutdown()
