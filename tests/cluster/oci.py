"""Small images made by hand: an OCI archive of a few files, without a container engine or root."""

import gzip
import hashlib
import io
import json
import pathlib
import platform
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_archive(path, reference, files, entrypoint):
    """An oci-archive of one layer. `files`: {path in the image: bytes}, each executable. The same input gives the same digest."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name, content in sorted(files.items()):
            _add(tar, name.lstrip("/"), content, 0o755)
    plain = layer.getvalue()
    packed = gzip.compress(plain, mtime=0)
    config = _json({
        "architecture": ARCHITECTURES[platform.machine()], "os": "linux", "config": {"Entrypoint": entrypoint},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]}})
    manifest = _json({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", packed)]})
    index = _json({"schemaVersion": 2, "manifests": [{
        **_descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
        # containerd goes by the first, others by the second.
        "annotations": {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}}]})
    path = pathlib.Path(path)
    partial = path.with_name(path.name + ".new")
    with tarfile.open(partial, "w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", index)
        for blob in (config, manifest, packed):
            _add(tar, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
    return partial.rename(path)


def _json(value):
    return json.dumps(value, sort_keys=True).encode()


def _descriptor(media_type, blob):
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


def _add(tar, name, content, mode=0o644):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
