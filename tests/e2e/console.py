#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A terminal in a qube: a shell to work in, the keys that leave it, and its size."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

from harness import equal, expect, main, until


def setup(host):
    host.create("work")
    host.create("other")
    host.sh_ok("work", "true")


class Terminal:
    """A program on a terminal of ours, and somebody who types and reads."""

    def __init__(self, host, *args, rows=30, cols=90):
        self.master, slave = pty.openpty()
        self.resize(rows, cols)
        self.out = b""
        self.process = subprocess.Popen(
            host.command(*args), stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        os.close(self.master)

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text):
        os.write(self.master, text)

    def read(self):
        if select.select([self.master], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):
                self.out += os.read(self.master, 65536)

    def wait_for(self, text, seconds=20):
        """Reads until it is there; what stands before it is forgotten."""
        end = time.monotonic() + seconds
        while text not in self.out:
            expect(time.monotonic() < end, f"no {text!r} on the terminal: {self.out[-3000:]!r}")
            expect(
                self.process.poll() is None or self.more(), f"ended, no {text!r}: {self.out!r}"
            )
            self.read()
        before, _, self.out = self.out.partition(text)
        return before

    def more(self):
        self.read()
        return select.select([self.master], [], [], 0)[0]

    def end(self, seconds=20):
        """Its exit status; everything that it wrote is in out."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            expect(time.monotonic() < end, f"does not end: {self.out[-3000:]!r}")
            self.read()
        self.read()
        return self.process.returncode


def answer(t, command):
    """What a command in the shell says, told from its echo."""
    t.type(b"printf '\\074%s\\076' \"$(" + command + b')"\r')
    t.wait_for(b"<", 20)
    return t.wait_for(b">").replace(b"\r", b"")


def test_it_is_a_login_shell_with_a_terminal(host):
    with Terminal(host, "console", "work") as t:
        t.wait_for(b"three times to leave")
        equal(answer(t, b"id -un"), b"user", "who it is")
        expect(answer(t, b"tty").startswith(b"/dev/pts/"), "no terminal")
        equal(answer(t, b"stty size"), b"30 90", "its size")
        equal(answer(t, b"pwd"), b"/home/user", "where it is")
        expect(b"i" in answer(t, b"echo $-"), "it does not know that somebody types")
        t.type(b"sleep 1000\r")
        time.sleep(0.3)
        t.type(b"\x03")
        equal(answer(t, b"echo $?"), b"130", "Ctrl-C reaches what runs inside")
        t.type(b"exit 7\r")
        equal(t.end(), 7, "exit status")
    with Terminal(host, "console", "--user", "root", "work") as t:
        equal(answer(t, b"id -un"), b"root", "who it is")
        t.wait_for(b"# ")  # sooner it is the shell's no more than any other key
        t.type(b"\x04")
        equal(t.end(), 0, "after the end of its input")


def test_three_keys_leave_it_and_nothing_stays(host):
    with Terminal(host, "console", "work") as t:
        equal(answer(t, b"echo $$ >shell; echo up"), b"up", "the shell")
        mode = termios.tcgetattr(t.master)[3]
        t.type(b"\x1d\x1d")
        t.type(b"x\x1d\x1dy\x15")
        equal(answer(t, b"echo here"), b"here", "after two keys and another")
        t.type(b"\x1d\x1d\x1d")
        equal(t.end(), 0, "exit status")
        expect(b"left the console" in t.out, f"told: {t.out!r}")
        expect(not mode & termios.ECHO, "the terminal was not raw")
        expect(termios.tcgetattr(t.master)[3] & termios.ECHO, "the terminal is still raw")
    until(lambda: host.sh("work", "kill -0 $(cat shell) 2>/dev/null").code, "the shell is gone")


def test_it_starts_the_qube_unless_told_not_to(host):
    with Terminal(host, "console", "--no-start", "other") as t:
        equal(t.end(), 125, "of a halted qube")
        expect(b"does not run" in t.out, f"why: {t.out!r}")
    equal(host.state_of("other"), "Halted", "its state")
    with Terminal(host, "console", "other") as t:
        equal(answer(t, b"uname -n"), b"other", "where it is")
        t.type(b"\x1d\x1d\x1d")
        equal(t.end(), 0, "exit status")


def test_errors_are_told(host):
    r = host.qube("console", "work")
    equal(r.code, 2, "without a terminal")
    expect("terminal" in r.why, f"why: {r}")
    for name, why in (("nobody", b"nobody"), ("dom0", b"host itself")):
        with Terminal(host, "console", name) as t:
            equal(t.end(), 125, f"of {name}")
            expect(why in t.out, f"why not {name}: {t.out!r}")


def threat_04_what_a_qube_draws_is_filtered(host):
    with Terminal(host, "console", "work") as t:
        answer(t, b"true")
        hostile = rb"\033]0;title\007\033[6n\033P+q\033\\\302\233[6n"
        t.type(b"printf '" + hostile + rb"red\033[31mrum\033[0m.'" + b"\r")
        seen = t.wait_for(b"red\x1b[31mrum")
        for bad in (b"\x1b]", b"\x1b[6n", b"\x1bP", b"\xc2\x9b"):
            expect(bad not in seen, f"{bad!r} came through: {seen!r}")
        t.type(b"exit\r")
        t.end()


def test_a_qube_that_ends_ends_its_console(host):
    host.sh_ok("other", "true")
    with Terminal(host, "console", "other") as t:
        answer(t, b"true")
        host.ok("kill", "other")
        equal(t.end(), 125, "exit status")
        expect(termios.tcgetattr(t.master)[3] & termios.ECHO, "the terminal is still raw")


def sized(t, rows, cols):
    """Another size, and what the terminal inside has in the end."""
    t.resize(rows, cols)
    want = b"%d %d" % (rows, cols)
    until(lambda: answer(t, b"stty size") == want, f"the terminal inside has {rows} x {cols}")


def test_its_size_follows_ours(host):
    with Terminal(host, "console", "work") as t:
        equal(answer(t, b"stty size"), b"30 90", "at the beginning")
        equal(answer(t, b"env | grep -c QUBE_PTY"), b"0", "of the id in the environment")
        sized(t, 40, 120)
        t.type(b"sh -c 'trap \"echo win''ch\" WINCH; echo g''o; while :; do sleep 0.01; done'\r")
        t.wait_for(b"go\r")
        t.resize(41, 121)
        t.wait_for(b"winch")
        t.type(b"\x03")
        # Many at once: the last one counts.
        for n in range(50):
            t.resize(20 + n, 100 + n)
        sized(t, 25, 80)
        t.type(b"exit\r")
        t.end()
    script = "echo up; while :; do stty size; sleep 0.05; done"
    with Terminal(host, "run", "--pty", "--user", "root", "work", "--", script) as t:
        t.wait_for(b"30 90")
        t.resize(33, 133)
        t.wait_for(b"33 133")
        # Typing goes on undisturbed: not a byte of it is ours.
        t.type(b"\x03")
        expect(t.end() in (130, 2), "interrupted")


def test_a_size_that_changes_while_the_qube_starts_is_not_lost(host):
    host.qube("kill", "other")
    until(lambda: host.state_of("other") == "Halted", "it is halted")
    with Terminal(host, "console", "other") as t:
        t.wait_for(b"three times to leave")
        t.resize(42, 142)
        until(lambda: answer(t, b"stty size") == b"42 142", "the size is told")
        t.type(b"\x1d\x1d\x1d")
        t.end()


# A login shell of a qube whose qube-pty is one of before, and counts how it is asked.
OLD = """#!/usr/bin/python3 -Es
import os, pty, sys
command = sys.argv[-1]
with open("/var/old/asked", "a") as f:
    f.write(command + "\\n")
if "--resize" in command:
    sys.exit(2)
if "qube-pty" in command:
    os.environ.pop("QUBE_PTY_ID", None)
    sys.exit(os.waitstatus_to_exitcode(pty.spawn(["/bin/sh", "-c", command.split(" -- ", 1)[1]])))
os.execv("/bin/sh", ["sh"] + sys.argv[1:])
"""


def threat_21_a_qube_that_cannot_be_told_is_not_asked_for_ever(host):
    host.sh_ok(
        "work",
        "mkdir -p /var/old && cat >/var/old/shell && chmod 755 /var/old/shell && "
        "echo old:x:1000:1000::/var/old:/var/old/shell >>/etc/passwd && chown -R user /var/old",
        "root",
        OLD.encode(),
    )
    with Terminal(host, "run", "--pty", "--user", "old", "work", "--", "cat") as t:
        t.type(b"first\r")
        t.wait_for(b"first\r\nfirst")
        for n in range(5):
            t.resize(50 + n, 100)
            until(
                lambda: "--resize" in host.sh("work", "cat /var/old/asked", "root").text,
                "it was asked",
            )
        t.type(b"second\r")
        t.wait_for(b"second\r\nsecond")
        t.type(b"\x04")
        t.end()
    asked = host.sh_ok("work", "cat /var/old/asked", "root").text
    equal(asked.count("--resize"), 1, "how often it was asked")


main(globals(), setup)
