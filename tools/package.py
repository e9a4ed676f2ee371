"""Writes each module as an image in both wasm layouts, as archives of an OCI layout, without a container engine.

tools/package.py VERSION REVISION FILTER...

The same module makes the same archive, to the byte: times are zero, owners are root, order is fixed. DIGESTS has the digest of each
image: what a registry serves it under, and what is compared with `sha256` where an image is loaded.
"""

import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile

LAYOUT = {"imageLayoutVersion": "1.0.0"}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def tar(files):
    """A tar archive of files by name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def text(value):
    return json.dumps(value, indent=2, sort_keys=True).encode() + b"\n"


def descriptor(kind, content, **more):
    return {"mediaType": kind, "digest": digest(content), "size": len(content), **more}


def image(config_kind, config, layer_kind, layer, annotations):
    """An OCI layout with one image of one layer, and the digest under which registries know it."""
    manifest = text({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(config_kind, config),
        "layers": [descriptor(layer_kind, layer)],
        "annotations": annotations,
    })
    reference = {"org.opencontainers.image.ref.name": annotations["org.opencontainers.image.version"]}
    index = text({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [descriptor(MANIFEST, manifest, annotations=reference)],
    })
    blobs = [(f"blobs/sha256/{digest(blob)[7:]}", blob) for blob in (config, layer, manifest)]
    archive = tar([("oci-layout", text(LAYOUT)), ("index.json", index), *sorted(blobs)])
    return archive, digest(manifest)[7:]


def compat(module, annotations):
    """As a container image: a layer with plugin.wasm in it."""
    files = tar([("plugin.wasm", module)])
    layer = gzip.compress(files, mtime=0)
    config = text({
        "architecture": "wasm",
        "os": "wasi",
        "config": {"Labels": annotations},
        "rootfs": {"type": "layers", "diff_ids": [digest(files)]},
    })
    annotations = {**annotations, "module.wasm.image/variant": "compat"}
    return image("application/vnd.oci.image.config.v1+json", config,
                 "application/vnd.oci.image.layer.v1.tar+gzip", layer, annotations)


def artifact(module, annotations):
    """As an artifact: the module is the layer."""
    return image("application/vnd.module.wasm.config.v1+json", text({}),
                 "application/vnd.module.wasm.content.layer.v1+wasm", module, annotations)


def main():
    version, revision, *filters = sys.argv[1:]
    dist = pathlib.Path("dist")
    images = dist / "images"
    images.mkdir(exist_ok=True)
    digests = []
    for name in filters:
        module = (dist / f"{name}.wasm").read_bytes()
        annotations = {
            "org.opencontainers.image.title": f"seawall {name}",
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.revision": revision,
            "org.opencontainers.image.licenses": "Apache-2.0",
        }
        for layout in (compat, artifact):
            title = f"{name}-{layout.__name__}"
            archive, known_as = layout(module, annotations)
            (images / f"{title}.tar").write_bytes(archive)
            digests.append(f"{known_as}  {title}\n")
    (images / "DIGESTS").write_text("".join(digests))


if __name__ == "__main__":
    main()
