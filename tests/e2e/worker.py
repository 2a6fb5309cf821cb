#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A qube-worker that lies, is silent or ends: the operation fails with a reason, the host and its
other qubes go on, and with an honest worker the same operation is done."""

import os
import shutil

from harness import Host, children, command_line, equal, expect, gone, main, until

LIAR = """#!/usr/bin/python3 -I
import os, socket, time
how = open({how!r}).read().strip()
s = socket.socket(fileno=3)
while True:
    request, fds, _, _ = socket.recv_fds(s, 65536, 4)
    if not request:
        break
    for fd in fds:
        os.close(fd)
    if how == "end":
        os._exit(0)
    elif how == "die":
        os.kill(os.getpid(), 9)
    elif how == "nothing":
        time.sleep(3600)
    elif how == "empty":
        s.send(b"")
    elif how == "nonsense":
        s.send(bytes(range(256)))
    elif how == "long":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        s.send(bytes(100000))
    elif how == "echo":
        s.send(request)
    elif how == "zeros":
        s.send(bytes(64))
    time.sleep(3600)
"""
HOWS = ("end", "die", "empty", "nonsense", "long", "echo", "zeros")


class Lied(Host):
    """Its helpers are the real ones but for the worker."""

    def daemon_args(self):
        helpers = self.dir / "helpers"
        if not helpers.exists():
            helpers.mkdir()
            shutil.copytree(self.bin / "guest", helpers / "guest")
            for name in ("qube-box", "qube-agent"):
                (helpers / name).symlink_to(self.bin / name)
            self.honest()
        return [*super().daemon_args(), "--libexec-dir", helpers]

    def worker(self, make):
        new = self.dir / "helpers/.new"
        make(new)
        new.rename(self.dir / "helpers/qube-worker")
        # The one that waits for work is still the other.
        for pid in self.workers():
            os.kill(pid, 9)
        until(lambda: not self.workers(), "the old worker is gone")

    def workers(self):
        if not self.daemon:
            return []
        lines = [(p, command_line(p)) for p in children(self.pid)]
        return [p for p, c in lines if any(b"qube-worker" in a for a in c) and not gone(p)]

    def honest(self):
        self.worker(lambda new: new.symlink_to(self.bin / "qube-worker"))

    def lying(self, how):
        (self.dir / "how").write_text(how)

        def make(new):
            new.write_text(LIAR.format(how=str(self.dir / "how")))
            new.chmod(0o755)

        self.worker(make)


def furnish(host):
    host.create("source")
    host.sh_ok("source", "echo 1 >kept")
    host.ok("shutdown", "source")
    host.create("work")
    host.sh_ok("work", "true")


def test_a_worker_that_lies_fails_its_job_and_nothing_else():
    with Lied() as host:
        furnish(host)
        for how in HOWS:
            host.lying(how)
            r = host.qube("clone", "source", "copy", timeout=20)
            equal(r.code, 1, f"a worker with '{how}': {r}")
            expect("worker" in r.why, f"'{how}': does not say who: {r}")
            expect("copy" not in host.qubes(), f"'{how}': a half of a clone is there")
            equal(host.sh("work", "exit 7").code, 7, "another qube")
        host.honest()
        host.ok("clone", "source", "copy")
        equal(host.sh("copy", "cat kept").text, "1", "with an honest worker")


def test_a_worker_that_is_silent_is_waited_for_by_its_own_job_only():
    with Lied() as host:
        furnish(host)
        host.lying("nothing")
        p = host.spawn("clone", "source", "copy")
        until(host.workers, "the worker has its job")
        equal(host.sh("work", "exit 7").code, 7, "another qube")
        for pid in host.workers():
            os.kill(pid, 9)
        p.communicate(timeout=20)
        equal(p.returncode, 1, "the clone")
        expect("copy" not in host.qubes(), "a half of a clone is there")


main(globals())
