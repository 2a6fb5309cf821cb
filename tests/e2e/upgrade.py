#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs are replaced under running qubes. What a box says of its release and protocol is
changed on the way to the next qubed; what an agent is made of is looked at from outside."""

import contextlib
import os
import shutil
import signal
import socket
import struct
import threading

from harness import Host, children, command_line, equal, expect, gone, main, until

HELLO = 22  # driver/local/proto.h
PROTOCOL = 2
MARK = b"a newer program"


class Between:
    """Stands between a box and the next qubed: the greeting is changed, all else handed on."""

    def __init__(self, host, name, release, version):
        self.path = host.run_dir / "boxes" / name / "box.sock"
        self.real = host.dir / "real.sock"
        self.release, self.version, self.name = release.encode(), version, name.encode()
        self.orders = []
        self.path.rename(self.real)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(self.path))
        self.listener.listen(4)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                driver = self.listener.accept()[0]
                box = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                box.connect(str(self.real))
                for args in ((box, driver, self.say), (driver, box, self.order)):
                    threading.Thread(target=self.hand_on, args=args, daemon=True).start()

    @staticmethod
    def hand_on(source, target, change):
        with contextlib.suppress(OSError):
            while True:
                data, fds = socket.recv_fds(source, 65536, 4)[:2]
                if not data:
                    break
                socket.send_fds(target, [change(data)], fds)
                for fd in fds:
                    os.close(fd)
        for s in (source, target):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def say(self, data):
        _, kind, status, err, _ = struct.unpack_from("<IIiiI", data)
        if kind != HELLO:
            return struct.pack("<I", self.version) + data[4:]
        text = self.release + b" " + self.name
        return struct.pack("<IIiiI", self.version, kind, status, err, len(text)) + text

    def order(self, data):
        self.orders.append(struct.unpack_from("<I", data)[0])
        return struct.pack("<I", PROTOCOL) + data[4:]

    def close(self):
        self.listener.close()


def next_host(host, release, version):
    """The qube 'work' as a qubed sees it that is not of the release which started it."""
    kill_qubed(host)
    between = Between(host, "work", release, version)
    at = len(host.log())
    host.start()
    until(lambda: "'work' was started by release" in host.log()[at:], "the log tells of it")
    line = next(v for v in host.log()[at:].splitlines() if "was started by release" in v)
    return between, line


def kill_qubed(host):
    os.kill(host.pid, signal.SIGKILL)
    host.daemon.wait(10)


def furnish(host):
    host.create("work")
    host.sh_ok("work", "echo kept >kept")


def answers(host):
    until(lambda: host.sh("work", "exit 7").code == 7, "a call")


def test_another_release_of_the_same_protocol_is_adopted():
    with Host() as host:
        furnish(host)
        box = host.box("work")
        for release in ("0.0.9", "7.0.0"):
            between, line = next_host(host, release, PROTOCOL)
            expect(f"release {release} (protocol {PROTOCOL}) and needs a restart" in line, line)
            expect("killed" not in line, line)
            equal(host.box("work"), box, "the same box")
            answers(host)
            between.close()
            between.path.unlink()
            between.real.rename(between.path)
        between, _ = next_host(host, "0.0.9", PROTOCOL)
        host.ok("shutdown", "work", timeout=30)
        equal(between.orders, [PROTOCOL], "in whose version it was asked to stop")
        expect(gone(box), "it ended")
        between.close()
        at = len(host.log())
        equal(host.sh_ok("work", "cat kept").text, "kept", "its home")
        expect("needs a restart" not in host.log()[at:], "now it is of this release")


def test_another_protocol_runs_on_and_can_only_be_killed():
    with Host() as host:
        furnish(host)
        for version in (PROTOCOL - 1, PROTOCOL + 1, 0xFFFFFFFF):
            host.ok("start", "work")
            box = host.box("work")
            between, line = next_host(host, "9.9.9", version)
            expect(f"(protocol {version})" in line and "can only be killed" in line, line)
            answers(host)
            r = host.qube("shutdown", "work")
            equal(r.code, 1, "a shutdown")
            expect(f"{version}" in r.why and "protocol" in r.why, f"it says why: {r.why}")
            equal(host.state_of("work"), "Running", "its state then")
            equal(between.orders, [], "it was sent nothing that it might misread")
            answers(host)
            host.ok("kill", "work")
            expect(gone(box), "it ended")
            between.close()
            between.real.unlink()
        equal(host.sh_ok("work", "cat kept").text, "kept", "its home")


def test_qubed_ends_in_time_with_a_box_of_another_protocol():
    with Host() as host:
        furnish(host)
        box = host.box("work")
        between, _ = next_host(host, "9.9.9", PROTOCOL + 1)
        equal(host.stop(), 0, "the end of qubed")
        until(lambda: gone(box), "the box ends with it")
        between.close()
        host.start()
        equal(host.sh_ok("work", "cat kept").text, "kept", "its home")


class Installed(Host):
    """A host whose programs are copies that can be replaced."""

    def __init__(self):
        super().__init__()
        own = self.dir / "bin"
        shutil.copytree(self.bin, own, ignore=shutil.ignore_patterns("fault"))
        self.bin = own

    def upgrade(self):
        for name in ("qubed", "qube-box", "qube-agent", "qube-worker", "qube"):
            path = self.bin / name
            new = path.with_suffix(".new")
            new.write_bytes(path.read_bytes() + MARK)
            new.chmod(0o755)
            new.rename(path)

    def agent(self):
        for pid in children(self.box("work")):
            if command_line(pid)[:1] == [b"qube-agent"] and not gone(pid):
                return pid
        return None


def is_new(pid):
    with open(f"/proc/{pid}/exe", "rb") as f:
        return f.read().endswith(MARK)


def test_a_running_qube_keeps_its_agent_and_gets_the_new_one_at_its_next_start():
    with Installed() as host:
        furnish(host)
        first = until(host.agent, "an agent")
        host.upgrade()
        os.kill(first, signal.SIGKILL)
        second = until(lambda: host.agent() not in (None, first) and host.agent(), "the next one")
        expect(not is_new(second), "what was sealed at the start is started again")
        answers(host)
        kill_qubed(host)
        host.start()
        expect(is_new(host.pid) and not is_new(host.box("work")), "a new qubed, an old box")
        answers(host)
        os.kill(host.agent(), signal.SIGKILL)
        third = until(lambda: host.agent() not in (None, second) and host.agent(), "a third one")
        expect(not is_new(third), "as before")
        answers(host)
        host.ok("shutdown", "work")
        equal(host.sh_ok("work", "cat kept").text, "kept", "its home")
        expect(is_new(host.box("work")) and is_new(host.agent()), "all is new")


if __name__ == "__main__":
    main(globals())
