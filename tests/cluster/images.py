"""Images of the tests: C programs, linked statically, with nothing around them. And the local registry, which takes any."""

import os
import pathlib
import subprocess
import tempfile

from cluster import layout, node_config, oci, process, shell, tools, wait

HERE = pathlib.Path(__file__).resolve().parent


def compile_image(source, reference, archive):
    """An oci-archive of an image whose entrypoint is one C file, as /NAME-OF-THE-FILE."""
    with tempfile.TemporaryDirectory() as scratch:
        program = pathlib.Path(scratch) / "program"
        shell.run("gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Os", "-s", "-static", source, "-o", program,
                  seconds=60)
        name = f"/{pathlib.Path(source).stem}"
        return oci.write_archive(archive, reference, {name: program.read_bytes()}, [name])


def pause():
    """What holds a pod's namespaces. Kubernetes' own comes from a public registry; this needs none."""
    archive = layout.STATE / "pause.tar"
    if not archive.exists():
        compile_image(HERE / "pause.c", node_config.PAUSE, archive)
    return archive


def push(archive, reference):
    """Puts an oci-archive into the local registry, and returns the reference by digest. `reference`: NAME:TAG."""
    whole = f"{layout.REGISTRY}/{reference}"
    with tempfile.TemporaryDirectory() as folder:
        shell.run("tar", "--extract", "--file", archive, "--directory", folder, seconds=120)
        return shell.run(tools.executable("crane"), "push", "--insecure", folder, whole, seconds=300).strip()


class Registry:
    """`crane registry serve` on the host's end of the bridge; it keeps what it was given over down and up."""

    log = layout.LOGS / "registry.log"

    def running(self):
        return self._pid() is not None

    def start(self):
        if self.running():
            return
        folder = layout.STATE / "registry"
        folder.mkdir(exist_ok=True)
        with open(self.log, "ab") as out:
            subprocess.Popen(
                [tools.executable("crane"), "registry", "serve", "--address", layout.REGISTRY, "--disk", folder],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, layout.MARK: str(layout.STATE)})
        wait.until(lambda: shell.succeeds(tools.executable("crane"), "catalog", "--insecure", layout.REGISTRY), 10,
                   f"the registry answers; its log is {self.log}")

    @staticmethod
    def _pid():
        marked = process.with_environment(layout.MARK, str(layout.STATE))
        return next((pid for pid, words in marked.items() if words[1:3] == ["registry", "serve"]), None)
