# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keys and signatures of minisign, below the folder of a host."""

import subprocess


def keys(host):
    """The public keys of two signers, ours and theirs."""
    made = {}
    for name in ("ours", "theirs"):
        made[name] = str(host.dir / f"{name}.pub")
        subprocess.run(
            ["minisign", "-G", "-f", "-W", "-p", made[name], "-s", host.dir / f"{name}.sec"],
            check=True,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
    return made


def sign(host, path, name="ours", *more):
    subprocess.run(
        ["minisign", "-S", *more, "-s", host.dir / f"{name}.sec", "-m", path],
        check=True,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
