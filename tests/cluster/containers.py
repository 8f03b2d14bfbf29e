"""Images built from a Dockerfile by buildah, without a container engine or a public registry: in a store of our own, on
a Debian that debootstrap made from the packages that this machine takes its own from.
"""

import json
import os
import pathlib
import re
import shutil
import tempfile

from cluster import shell, tools

# By the name that a Dockerfile says for everybody; here it is what debootstrap makes, and only in our store.
BASE = "docker.io/library/debian:bookworm-slim"
RELEASE = "bookworm"


def buildah(*arguments, seconds=60):
    """Its output. Its images are ours alone: the machine's own store has its own debian, perhaps."""
    store = tools.cache().parent / "containers"
    store.mkdir(parents=True, exist_ok=True)
    settings = store / "containers.conf"  # or it makes /etc/cni on first use, with a lock in it
    settings.write_text(f'[network]\nnetwork_config_dir = "{store / "networks"}"\n')
    env = {**os.environ, "BUILDAH_ISOLATION": "chroot", "CONTAINERS_CONF": str(settings)}
    return shell.run("buildah", "--root", store, "--runroot", store / "run", "--storage-driver", "overlay", "--storage-opt",
                     "overlay.skip_mount_home=true", *arguments, seconds=seconds, env=env)


def build(context, reference, archive, dockerfile=None, target=None, options=(), seconds=7200):
    """Builds an image and writes it as an oci-archive, which nodes and the registry take. `options`: more of buildah's."""
    make_base()
    options = [*options, *(["--file", dockerfile] if dockerfile else []), *(["--target", target] if target else [])]
    buildah("build", "--layers", "--pull-never", "--tag", reference, *options, context, seconds=seconds)
    archive = pathlib.Path(archive)
    archive.unlink(missing_ok=True)
    buildah("push", "--quiet", reference, f"oci-archive:{archive}:{reference}", seconds=300)
    return archive


def size(reference):
    """Of an image in the store, unpacked, in bytes."""
    manifest = json.loads(json.loads(buildah("inspect", "--type", "image", reference))["Manifest"])
    return sum(layer["size"] for layer in manifest["layers"])


def push(reference, plain_http=False):
    """Sends an image of the store to the registry that its name says. Returns the reference by digest."""
    with tempfile.NamedTemporaryFile() as digest:
        buildah("push", "--quiet", "--digestfile", digest.name, f"--tls-verify={str(not plain_http).lower()}", reference,
                f"docker://{reference}", seconds=900)
        return f"{reference.rpartition(':')[0]}@{pathlib.Path(digest.name).read_text().strip()}"


def make_base():
    """Puts BASE into the store, once. True if it was made now."""
    if _has(BASE):
        return False
    print(f"Making {BASE} with debootstrap, once", flush=True)
    with tempfile.TemporaryDirectory(prefix="mayfly-base.") as folder:
        root = pathlib.Path(folder) / "root"
        shell.run("debootstrap", "--variant=minbase", RELEASE, root, _mirror(), seconds=900)
        for cached in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(root / cached)
            (root / cached / "partial").mkdir(parents=True)
        container = buildah("from", "scratch").strip()
        try:
            buildah("copy", "--quiet", container, root, "/", seconds=300)
            buildah("config", "--cmd", '["bash"]', container)
            buildah("commit", "--quiet", container, BASE, seconds=300)
        finally:
            buildah("rm", container)
    return True


def _has(reference):
    try:
        buildah("inspect", "--type", "image", reference)
        return True
    except shell.Failed:
        return False


def _mirror():
    """Where apt takes this release from."""
    text = shell.run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)")
    found = re.search(rf"^(\S+) {RELEASE} main$", text, re.M)
    if not found:
        raise RuntimeError(f"apt on this machine knows no mirror of Debian {RELEASE}: run apt-get update")
    return found.group(1)
