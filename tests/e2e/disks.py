# SPDX-License-Identifier: LGPL-2.1-or-later
"""File systems of one's own for the state of a host: their kind and their size are the test's."""

import contextlib
import ctypes
import os
import shutil
import subprocess

from harness import Skip, expect

MKFS = {
    "btrfs": ["mkfs.btrfs", "-q"],
    "ext4": ["mkfs.ext4", "-q"],
    "xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"],
}
CLONE_NEWNS = 0x20000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
libc = ctypes.CDLL(None, use_errno=True)


def apart():
    """The program goes on with mounts of its own. Whatever ends it, they end too."""
    if os.geteuid() != 0:
        return  # main() says that
    for done in (
        libc.unshare(CLONE_NEWNS),
        libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None),
    ):
        expect(done == 0, f"no mounts of one's own: {os.strerror(ctypes.get_errno())}")


def run(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, check=False, timeout=60)


def mount_image(kind, mebibytes, image, place):
    """The loop device goes with the mount, and the file with the loop device."""
    with open(image, "wb") as f:
        f.truncate(mebibytes << 20)
    try:
        done = run(*MKFS[kind], image)
        expect(done.returncode == 0, f"{MKFS[kind]}: {done}")
        return run("mount", "-o", "loop", image, place)
    finally:
        image.unlink()


@contextlib.contextmanager
def disk(host, mebibytes, kind="tmpfs"):
    """The host's state lies on a file system of that size and kind."""
    with open("/proc/filesystems", encoding="ascii") as f:
        if kind not in f.read().split():
            raise Skip(f"this kernel has no {kind}")
    if kind in MKFS and not shutil.which(MKFS[kind][0]):
        raise Skip(f"no program {MKFS[kind][0]}")
    host.state.mkdir(mode=0o700)
    if kind == "tmpfs":
        done = run("mount", "-t", kind, "-o", f"size={mebibytes}m", "e2e", host.state)
    else:
        done = mount_image(kind, mebibytes, host.dir / "image", host.state)
    if done.returncode:
        shutil.rmtree(host.dir)
        raise Skip(f"cannot mount {kind}: {done.stderr.decode().strip()}")
    try:
        host.state.chmod(0o700)
        yield host
    finally:
        host.stop()
        done = run("umount", "-R", host.state)
        expect(done.returncode == 0, f"umount: {done}")
        run("rm", "-rf", "--one-file-system", host.dir)


def free_bytes(path):
    """What the file system has left when all is written that was to be written."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        expect(libc.syncfs(fd) == 0, "syncfs")
        st = os.fstatvfs(fd)
    finally:
        os.close(fd)
    return st.f_bfree * st.f_frsize
