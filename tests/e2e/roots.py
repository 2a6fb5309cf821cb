# SPDX-License-Identifier: LGPL-2.1-or-later
"""Templates of other roots than the host's: tests/roots makes them, the product imports them."""

import pathlib
import subprocess
import sys

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


def put(host, name, template):
    """Imports the root called name as the template called template."""
    root = made(name)
    source = root if (root / "oci-layout").exists() else root / "rootfs.tar"
    host.ok("template", "import", template, "--from", source, "--unsigned", "--quiet", timeout=120)
