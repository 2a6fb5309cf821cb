#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The state on btrfs, XFS, ext4 and in memory: a whole life of qubes on each; and what a clone
takes, of the disk and of what is written."""

import array
import contextlib
import fcntl
import json
import os
import pathlib
import struct

import disks
from harness import Host, children, equal, expect, main, until

FS_IOC_FIEMAP = 0xC020660B
FIEMAP_FLAG_SYNC = 1
FIEMAP_EXTENT_LAST = 1
FIEMAP_EXTENT_SHARED = 0x2000
BIG = 64 << 20
SLACK = 8 << 20  # what a file system's own books may take beside


@contextlib.contextmanager
def host_on(kind, mebibytes=1024):
    host = Host(template=False)
    with disks.disk(host, mebibytes, kind), host:
        host.ok("template", "import", "base", "--include", "python3", "--yes", "--quiet",
                timeout=120)
        yield host


def extents(path):
    """How many extents a file has, and how many of them others have too."""
    request = array.array("B", struct.pack("=QQLLLL", 0, 1 << 62, FIEMAP_FLAG_SYNC, 0, 1000, 0))
    request.frombytes(bytes(56 * 1000))
    with open(path, "rb") as f:
        fcntl.ioctl(f, FS_IOC_FIEMAP, request)
    mapped = struct.unpack_from("=L", request, 20)[0]
    flags = [struct.unpack_from("=L", request, 32 + 56 * i + 40)[0] for i in range(mapped)]
    expect(flags and flags[-1] & FIEMAP_EXTENT_LAST, f"{path}: {mapped} extents and more")
    return mapped, sum(1 for f in flags if f & FIEMAP_EXTENT_SHARED)


def written(host):
    """Bytes that the workers wrote to files so far; they stay from one job to the next."""
    total = 0
    for pid in children(host.pid):
        if host.is_worker(pid):
            text = pathlib.Path(f"/proc/{pid}/io").read_text(encoding="ascii")
            total += int(dict(line.split(": ") for line in text.splitlines())["wchar"])
    return total


def fill(host, name, size):
    host.sh_ok(name, f"head -c {size} /dev/urandom >big", data=b"")
    host.ok("shutdown", name)
    return host.home(name) / "big"


def cloned(host, source, name):
    """Clones; returns what the disk lost by it and what the workers wrote."""
    before = disks.free_bytes(host.state), written(host)
    host.ok("clone", source, name)
    return before[0] - disks.free_bytes(host.state), written(host) - before[1]


def clones(host, kind, shares):
    checks = {c["check"]: c for c in json.loads(host.ok("doctor", "--json").out)}
    told = checks["pool default"]
    equal(told["outcome"], "ok", f"what doctor says: {told}")
    expect(f"on {kind}: " in told["detail"], f"what doctor says: {told}")
    equal("share" in told["detail"] and "full copies" not in told["detail"], shares, "of clones")
    host.create("small")
    host.create("app")
    host.ok("create", "alone", "--class", "StandaloneVM", "--template", "base")
    fill(host, "small", 1 << 20)
    host.sh_ok("alone", "head -c 20000000 /dev/urandom >/etc/own", "root")
    for name in ("app", "alone"):
        fill(host, name, BIG)
    small = cloned(host, "small", "small-twin")[1]
    for name in ("app", "alone"):
        took, wrote = cloned(host, name, name + "-twin")
        ours, theirs = (host.home(n) / "big" for n in (name, name + "-twin"))
        if shares:
            expect(took < SLACK, f"the clone of {name} took {took} bytes of the disk")
            equal(wrote, small, f"bytes written for {name}, as for a small one")
            n, shared = extents(theirs)
            equal(shared, n, f"extents of {name}'s clone that are shared")
        else:
            expect(took > BIG - SLACK, f"the clone of {name} took only {took} bytes")
            expect(wrote >= BIG, f"for the clone of {name} {wrote} bytes were written")
        equal(ours.read_bytes() == theirs.read_bytes(), True, f"the clone of {name} is the same")
        host.sh_ok(name + "-twin", "echo more >>big")
        equal(ours.stat().st_size, BIG, f"{name}'s own file after its clone's was written to")
        host.ok("shutdown", name + "-twin")
    host.sh_ok("alone-twin", "test $(stat -c %s /etc/own) = 20000000", "root")
    host.ok("shutdown", "alone-twin")


def change(host, n):
    host.sh_ok("tpl", f"echo {n} >/etc/mark; rm -rf /etc/dir; mkdir /etc/dir; "
               f"echo {n} >/etc/dir/{n}; chown user /etc/mark", "root")
    host.ok("shutdown", "tpl")


def seen(host, name="app"):
    text = host.sh_ok(name, "cat /etc/mark; ls /etc/dir; stat -c %U /etc/mark").text
    host.ok("shutdown", name)
    return text.split()


def life(host):
    """Everything that makes, changes, moves or removes a volume."""
    host.ok("clone", "base", "tpl")
    host.ok("volume", "set", "tpl", "root", "revisions_to_keep", "2")
    for n in (1, 2):
        change(host, n)
    host.ok("create", "app", "--template", "tpl")
    equal(seen(host), ["2", "2", "user"], "what was committed")
    host.ok("volume", "revert", "tpl", "root")
    equal(seen(host), ["1", "1", "user"], "after going back")
    host.sh_ok(
        "app",
        "echo lost >/etc/mark && cd /home/user && echo kept >kept && chown user kept && "
        "chmod 640 kept && ln kept name && "
        "python3 -c \"import os; os.setxattr('kept', 'user.a', b'b')\"",
        "root",
    )
    host.ok("shutdown", "app")
    equal(seen(host), ["1", "1", "user"], "a snapshot's root after a stop")
    tar = host.ok("volume", "export", "app", "private").out
    host.ok("create", "second", "--template", "tpl")
    host.ok("volume", "import", "second", "private", data=tar)
    host.ok("clone", "second", "third")
    for name in ("second", "third"):
        equal(host.sh_ok(name, "cat kept; stat -c '%a %h' kept").text, "kept\n640 2", name)
        equal(host.python_ok(name, "import os; print(os.getxattr('/home/user/kept', 'user.a'))",
                             user="root").text, "b'b'", f"an attribute in {name}")
        host.ok("shutdown", name)
    root = host.dir / "root.tar"
    host.ok("volume", "export", "tpl", "root", root)
    host.ok("volume", "import", "tpl", "root", root)
    equal(seen(host), ["1", "1", "user"], "a root that went out and in")
    for n in range(100, 114):
        change(host, n)
    path = host.state / "pools/default/volumes/tpl/root.vol"
    until(lambda: "merged" in path.read_text(), "the layers are merged", 30)
    equal(seen(host), ["113", "113", "user"], "after the merge")
    host.ok("create", "alone", "--class", "StandaloneVM", "--template", "tpl")
    host.sh_ok("alone", "echo own >/etc/mark", "root")
    host.ok("shutdown", "alone")
    host.stop()
    host.start()
    equal(seen(host, "alone")[0], "own", "a standalone's root, for another host")
    host.ok("rm", "app", "second", "third", "alone")
    host.ok("rm", "tpl")
    pool = host.state / "pools/default"
    until(lambda: not os.listdir(pool / "trash"), "what was removed is gone")
    equal(os.listdir(pool / "volumes"), ["base"], "volumes")
    equal(len(os.listdir(pool / "layers")), 1, "layers")
    equal(os.listdir(pool / "tmp"), [], "rests")


def test_clones_on_btrfs_share_their_data():
    with host_on("btrfs") as host:
        clones(host, "btrfs", True)


def test_clones_on_xfs_share_their_data():
    with host_on("xfs") as host:
        clones(host, "xfs", True)


def test_clones_on_ext4_are_copies():
    with host_on("ext4") as host:
        clones(host, "ext4", False)


def test_clones_in_memory_are_copies():
    with host_on("tmpfs") as host:
        clones(host, "tmpfs", False)


def test_a_life_on_btrfs():
    with host_on("btrfs") as host:
        life(host)


def test_a_life_on_xfs():
    with host_on("xfs") as host:
        life(host)


def test_a_life_on_ext4():
    with host_on("ext4") as host:
        life(host)


def test_a_life_in_memory():
    with host_on("tmpfs") as host:
        life(host)


disks.apart()
main(globals())
