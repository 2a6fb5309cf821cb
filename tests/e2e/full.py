#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that is full, for each thing that is done with a volume: it is said, nothing is lost, and
when there is room everything goes on."""

import io
import os
import tarfile

import disks
from harness import Host, equal, expect, main, until

SMALL = 24 << 20


def fill(path):
    """To the last byte, and what was set aside for later besides."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (1 << 20, 4096, 512, 512):
            try:
                while True:
                    os.write(fd, b"x" * size)
            except OSError:
                os.fsync(fd)
    finally:
        os.close(fd)


def refused(host, *args, data=b""):
    r = host.qube(*args, data=data)
    equal(r.code, 1, f"{args} on a full disk: {r}")
    expect(
        any(t in r.why for t in ("no space left", "No space left", "free")),
        f"{args} does not say why: {r}",
    )


def commit(host):
    """The template keeps its state, its qubes too, and the writes wait for the next start."""
    host.sh_ok("tpl", "echo 2 >/etc/mark", "root")
    fill(host.state / "fill")
    refused(host, "shutdown", "tpl")
    equal(host.state_of("tpl"), "Halted", "the template")
    expect("was not saved" in host.log(), "the log does not tell")


def kept_in(tar):
    with tarfile.open(fileobj=io.BytesIO(tar)) as t:
        return t.extractfile("./home/user/kept").read()


def operations(host, tar, kind):
    # What runs goes on, and meets the end of the disk itself.
    r = host.sh("work", "cat /dev/zero >big")
    expect("No space left" in r.why, f"from inside: {r}")
    equal(host.sh_ok("work", "cat kept").text, "kept", "in what runs")
    refused(host, "create", "more", "--template", "tpl")
    refused(host, "clone", "other", "twin")
    refused(host, "clone", "tpl", "twin")
    refused(host, "volume", "import", "other", "private", data=tar)
    # Its layers are put together first. On btrfs neither this nor a start takes room for data.
    if kind != "btrfs":
        refused(host, "volume", "export", "alone", "root", "/dev/null")
        refused(host, "start", "other")
    refused(host, "prefs", "work", "label", "green")
    refused(host, "volume", "set", "tpl", "root", "revisions_to_keep", "3")
    equal(host.sh_ok("work", "cat kept").text, "kept", "in what runs, after all that")
    names = ["alone", "base", "dom0", "other", "tpl", "victim", "work"]
    equal(sorted(host.qubes()), names, "qubes")
    # Out it goes, and away: that makes room.
    out = host.ok("volume", "export", "other", "private").out
    equal(kept_in(out), b"other\n", "what goes out")
    host.ok("rm", "victim")


def afterwards(host):
    host.ok("shutdown", "work")
    equal(host.sh_ok("work", "rm -f big; cat kept").text, "kept", "a private volume")
    equal(host.sh_ok("other", "cat kept").text, "other", "another")
    host.ok("shutdown", "work", "other")
    host.ok("create", "app", "--template", "tpl")
    equal(host.sh_ok("app", "cat /etc/mark").text, "1", "the state of the template")
    host.ok("shutdown", "app")
    equal(host.sh_ok("tpl", "cat /etc/mark").text, "2", "the template's session goes on")
    host.ok("shutdown", "tpl")
    equal(host.sh_ok("app", "cat /etc/mark").text, "2", "it is committed")
    host.ok("shutdown", "app")
    host.ok("clone", "other", "twin")
    equal(host.sh_ok("twin", "cat kept").text, "other", "a clone")
    host.ok("shutdown", "twin")


def everything_on(kind):
    host = Host(template=False)
    with disks.disk(host, 400, kind), host:
        host.ok("template", "import", "base", "--yes", "--quiet", timeout=120)
        host.ok("clone", "base", "tpl")
        host.sh_ok("tpl", "echo 1 >/etc/mark", "root")
        host.ok("shutdown", "tpl")
        for name in ("work", "other", "victim"):
            host.ok("create", name, "--template", "tpl")
        host.ok("create", "alone", "--class", "StandaloneVM", "--template", "tpl")
        host.sh_ok("other", "echo other >kept")
        host.sh_ok("victim", f"head -c {SMALL} /dev/urandom >big")
        host.sh_ok("alone", "echo x >/etc/x", "root")
        host.ok("shutdown", "other", "victim", "alone")
        host.sh_ok("work", "echo kept >kept")
        tar = host.ok("volume", "export", "other", "private").out
        commit(host)
        operations(host, tar, kind)
        os.unlink(host.state / "fill")
        pool = host.state / "pools/default"
        until(lambda: not os.listdir(pool / "trash"), "what failed is tidied up")
        equal(os.listdir(pool / "tmp"), [], "rests")
        afterwards(host)


def threat_33_everything_on_a_full_ext4():
    everything_on("ext4")


def threat_33_everything_on_a_full_xfs():
    everything_on("xfs")


def threat_33_everything_on_a_full_btrfs():
    everything_on("btrfs")


def threat_33_an_export_to_a_full_target_is_no_export():
    with Host() as host:
        host.create("work")
        host.sh_ok("work", "head -c 4000000 /dev/urandom >big")
        host.ok("shutdown", "work")
        target = host.dir / "target"
        target.mkdir()
        done = disks.run("mount", "-t", "tmpfs", "-o", "size=1m", "e2e", target)
        equal(done.returncode, 0, f"mount: {done}")
        refused(host, "volume", "export", "work", "private", target / "home.tar")
        equal(os.listdir(target), [], "half an export")
        disks.run("mount", "-o", "remount,size=8m", target)
        host.ok("volume", "export", "work", "private", target / "home.tar")
        host.ok("volume", "import", "work", "private", target / "home.tar")


def threat_33_a_full_run_directory_is_said():
    host = Host()
    host.run_dir.mkdir(mode=0o711)
    done = disks.run("mount", "-t", "tmpfs", "-o", "size=512k", "e2e", host.run_dir)
    equal(done.returncode, 0, f"mount: {done}")
    try:
        host.run_dir.chmod(0o711)
        with host:
            host.create("work")
            host.create("more")
            host.create("gone")
            host.sh_ok("work", "true")
            host.sh_ok("gone", "true")
            fill(host.run_dir / "fill")
            refused(host, "start", "more")
            equal(host.state_of("more"), "Halted", "what did not start")
            host.ok("shutdown", "gone")
            expect("the log of 'gone' cannot be written" in host.log(), "lost lines are not told")
            os.unlink(host.run_dir / "fill")
            equal(host.sh("more", "exit 4").code, 4, "when there is room")
            equal(host.sh("work", "exit 5").code, 5, "what ran all the time")
            host.ok("shutdown", "work", "more")
            expect("can be written again" in host.log(), "that it goes on is not told")
            expect(host.ok("logs", "work").out, "the log after all")
    finally:
        disks.run("umount", host.run_dir)


disks.apart()
main(globals())
