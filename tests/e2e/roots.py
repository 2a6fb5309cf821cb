# SPDX-License-Identifier: LGPL-2.1-or-later
"""Templates of other roots than the host's: tests/roots makes them, here they are put in place."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import harness

MAKE = pathlib.Path(__file__).resolve().parent.parent / "roots/make"


def made(name):
    """The folder of the finished root; ends the program if this machine cannot make it."""
    done = subprocess.run(
        [MAKE, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=200, check=False
    )
    why = done.stderr.decode(errors="replace").strip()
    if done.returncode == harness.SKIPPED:
        print(why.splitlines()[-1])
        sys.exit(harness.SKIPPED)
    harness.expect(done.returncode == 0, f"tests/roots/make {name}: {why[-2000:]}")
    return pathlib.Path(done.stdout.decode().splitlines()[-1])


def oci_layers(layout):
    """The files of an image layout's only image, lowest first."""

    def read(digest):
        return layout / "blobs" / digest.replace(":", "/")

    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(read(index["manifests"][0]["digest"]).read_text())
    return [read(layer["digest"]) for layer in manifest["layers"]]


def unpack(archive, to):
    """One of our own archives, with what it says of removed files done at once."""
    with tarfile.open(archive) as tar:
        tar.extractall(to, numeric_owner=True)
    for mark in pathlib.Path(to).rglob(".wh.*"):
        mark.unlink()
        mark.with_name(mark.name.removeprefix(".wh.")).unlink()


def put(host, name):
    """Makes the files of the root called name those of the template base of a host that is not
    running: the tree in its only layer is exchanged."""
    root = made(name)
    archives = [root / "rootfs.tar"]
    if (root / "oci-layout").exists():
        archives = oci_layers(root)
    layers = list((host.state / "pools/default/layers").iterdir())
    harness.expect(len(layers) == 1, f"one layer, not {layers}")
    mode = layers[0].stat().st_mode
    shutil.rmtree(layers[0])
    layers[0].mkdir()
    for archive in archives:
        unpack(archive, layers[0])
    os.chmod(layers[0], mode & 0o7777)
