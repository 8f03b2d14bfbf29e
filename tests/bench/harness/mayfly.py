"""`mayfly up` on a folder of manifests made for a measurement."""

import pathlib
import re
import shutil
import urllib.request

from harness.process import Process, free_port, tree_of

MANIFEST = """apiVersion: mayfly.dev/v1alpha1
kind: Function
metadata: {{name: {name}}}
spec:
  artifact: {{path: {module}}}
  concurrency: {concurrency}
  timeout: 30s
  scaling: {{minReplicas: {least}, maxReplicas: {most}, scaleToZeroAfter: {idle}}}
  triggers:
  - {{name: http, http: {{path: /{name}}}}}
"""


def function(folder, name, module, concurrency=1, least=0, most=1, idle="60s"):
    """Adds a function to `folder`, served at /NAME."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / pathlib.Path(module).name
    if not copy.exists():
        shutil.copy(module, copy)
    text = MANIFEST.format(name=name, module=copy.name, concurrency=concurrency, least=least, most=most, idle=idle)
    (folder / f"{name}.yaml").write_text(text)


class Mayfly(Process):
    """Ready, in the sense of its own line, when the constructor returns. `url` is where it listens."""

    def __init__(self, bench, folder, name="mayfly"):
        self.port, self.admin_port = free_port(), free_port()
        super().__init__(
            name,
            [bench.bin / "mayfly", "up", folder, "--port", self.port, "--admin", f"127.0.0.1:{self.admin_port}"],
            bench.out / "logs" / f"{name}.log",
        )
        try:
            found = self.wait_for(lambda text: re.search(r"^mayfly: ready (http://\S+)", text, re.M), 60)
        except Exception:
            self.stop()
            raise
        self.url = found.group(1).rstrip("/")

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def pids(self, program):
        """The processes of one program below this one. The kernel keeps 15 bytes of a name."""
        return sorted(pid for pid, name in tree_of(self.pid).items() if name == program[:15])
