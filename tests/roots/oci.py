#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An OCI image layout from directories: oci.py OUT LAYER..., lowest first. Owned by root."""

import gzip
import hashlib
import io
import json
import pathlib
import platform
import sys
import tarfile

IMAGE = "application/vnd.oci.image"
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}


def blob(out, data, media_type):
    digest = hashlib.sha256(data).hexdigest()
    (out / "blobs/sha256" / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def as_root(info):
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mtime = 1700000000
    return info


def layer(folder):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, str(path.relative_to(folder)), recursive=False, filter=as_root)
    return raw.getvalue()


def main():
    out = pathlib.Path(sys.argv[1])
    (out / "blobs/sha256").mkdir(parents=True)
    tars = [layer(pathlib.Path(folder)) for folder in sys.argv[2:]]
    arch = ARCH.get(platform.machine(), platform.machine())
    config = {
        "architecture": arch,
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
        "rootfs": {
            "type": "layers",
            "diff_ids": ["sha256:" + hashlib.sha256(t).hexdigest() for t in tars],
        },
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{IMAGE}.manifest.v1+json",
        "config": blob(out, json.dumps(config).encode(), f"{IMAGE}.config.v1+json"),
        "layers": [
            blob(out, gzip.compress(t, 6, mtime=0), f"{IMAGE}.layer.v1.tar+gzip") for t in tars
        ],
    }
    entry = blob(out, json.dumps(manifest).encode(), manifest["mediaType"])
    entry["platform"] = {"architecture": arch, "os": "linux"}
    index = {"schemaVersion": 2, "mediaType": f"{IMAGE}.index.v1+json", "manifests": [entry]}
    (out / "index.json").write_text(json.dumps(index))
    (out / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


main()
