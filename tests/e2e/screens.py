#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `qube top`, stats, logs, events and --trace show, character by character, against pictures
that were looked at.

screens.py QUBE GOLDEN_DIR [--update]"""

import difflib
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from stub import Stub, ok, refusal

QUBES = {
    "dom0": ("AdminVM", "Running"),
    "a": ("AppVM", "Running"),
    "busy": ("DispVM", "Running"),
    "frozen": ("StandaloneVM", "Paused"),
    "a-name-of-thirty-one-characters": ("TemplateVM", "Running"),
    "off": ("AppVM", "Halted"),
}
# Memory 1, CPU 2, processes 4, disk 8, begin 16, a guess 32, a target 64 (domain.h).
STATS = {
    "a": "known=95\nmemory_bytes=104857600\ncpu_ns=5000000000\npids=7\nread_bytes=1\n"
    "write_bytes=2\nstart_time_ms={hour}\ntarget_bytes=419430400\n",
    "busy": "known=23\nmemory_bytes=1610612736\ncpu_ns={cpu}\npids=12345\nstart_time_ms={hour}\n",
    "frozen": "known=16\nstart_time_ms={days}\n",
    "a-name-of-thirty-one-characters": "known=50\nmemory_bytes=4096\nstart_time_ms={future}\n",
}
UNENFORCED = {"a": "disk", "frozen": "memory vcpus disk"}
LOG = (
    "first line\n\\x1b[31mescaped by the host\n"
    "\x1b]0;not escaped\x07 by it\x1b[2J\n\ttab and \x01 and \x9b and a\u0308 \udcff\n%s %n\n"
)
TRACE = (
    "stage prepare 0 20000000\nstage volumes 20000000 5000000\nstage create 25000000 175000000\n"
    "stage /launch 25000000 25000000\nstage /trees 50000000 100000000\n"
    "stage /jail 150000000 50000000\nstage run 200000000 100000\n"
    "stage agent 200100000 199900000\nstage /\x1b[m 200100000 199900000\nstage up 400000000 0\n"
)
KILL = "stage kill 0 8000000\nstage /guest 0 6000000\nstage /settle 6000000 2000000\n"


def stats_of(name, now):
    def answer(_argument, _payload):
        return ok(
            STATS[name].format(
                hour=now - 3725000,
                days=now - 86400000 * 3 - 7205000,
                future=now + 100000,
                cpu=time.monotonic_ns(),
            )
        )

    return answer


def answers():
    now = int(time.time() * 1000)
    lines = {n: f"{n} class={c} state={s} uuid=\n" for n, (c, s) in QUBES.items()}
    table = {
        "admin.vm.List dom0": ok("".join(lines.values())),
        "admin.vmclass.List": ok("AppVM\n"),
        "qube.HostInfo": ok("driver=local\nisolation=1\nversion=0\n"),
        "admin.vm.List": refusal("QubesVMNotFoundError", "No such domain"),
        "admin.vm.feature.Get": refusal("QubesFeatureNotFoundError", "no such feature"),
        "admin.vm.feature.Get frozen": lambda argument, _: ok(
            "1" if argument in ("local.userns", "local.core-sched") else ""
        ),
        "admin.vm.property.Get": ok("default=False type=str red"),
        "qube.Unenforced": ok(),
        "qube.Log": ok(LOG),
        "qube.Start": ok(TRACE),
        "qube.Kill": ok(KILL),
        "qube.Start off": refusal("QubesVMError", "it will not"),
    }
    for name, (_, state) in QUBES.items():
        if name != "dom0":
            table[f"admin.vm.List {name}"] = ok(lines[name])
        table[f"admin.vm.CurrentState {name}"] = ok(f"mem=0 power_state={state}")
        if name in STATS:
            table[f"qube.Stats {name}"] = stats_of(name, now)
    for name, words in UNENFORCED.items():
        table[f"qube.Unenforced {name}"] = ok(words)
    return table


def mask(text):
    """What really is measured, in its place: a share of a processor, seconds that go by."""
    text = re.sub(
        r"(?m)^(busy .*?Running )( *)(\d+\.\d)(?=  )",
        lambda m: m[1] + (len(m[2] + m[3]) - 3) * " " + "#.#",
        text,
    )
    text = re.sub(r"\b1:02:\d\d\b", "1:02:##", text)
    text = re.sub(r'("(?:start_time_ms|cpu_ns|time_ms)": ?)\d{8,}', r"\1#", text)
    text = re.sub(r'("name": ?"busy".*?"cpu_permille": ?)\d+', r"\1#", text)
    return re.sub(r"(?m)^\d\d:\d\d:\d\d\.\d\d\d ", "HH:MM:SS.mmm ", text)


class Screens:
    def __init__(self, program, golden, update):
        self.program, self.golden, self.update = program, pathlib.Path(golden), update
        self.failed = 0

    def check(self, good, what):
        print("ok  " if good else "FAILED", what)
        self.failed += not good

    def compare(self, name, data):
        """A screen with its unprintable bytes made visible: ESC is ^[."""
        text = mask(data.decode("utf-8", "backslashreplace"))
        text = re.sub(r"\r\n", "\n", text)
        text = re.sub(r"[\x00-\x08\x0b-\x1f]", lambda m: "^" + chr(ord(m[0]) + 64), text)
        path = self.golden / f"{name}.txt"
        if self.update:
            path.write_text(text, encoding="utf-8")
        wanted = path.read_text(encoding="utf-8") if path.exists() else ""
        diff = difflib.unified_diff(
            wanted.splitlines(), text.splitlines(), str(path), "now", lineterm=""
        )
        print("\n".join(diff))
        self.check(text == wanted, name)

    def command(self, stub, *args):
        return [self.program, "--socket", str(stub.socket), *args]

    def plain(self, stub, name, *args, code=0, stream="stdout"):
        done = subprocess.run(
            self.command(stub, *args), capture_output=True, check=False, timeout=60
        )
        self.check(done.returncode == code, f"{name}: exit status {done.returncode}")
        self.compare(name, getattr(done, stream))

    def on_terminal(self, stub, name, columns, *args, keys=b""):
        """What a terminal of that width gets; keys are pressed once something stands there."""
        pid, fd = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            time.sleep(0.2)  # until the terminal has its size
            os.execv(self.program, self.command(stub, *args))
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 8, columns, 0, 0))
        got = b""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if not select.select([fd], [], [], 0.1)[0]:
                continue
            try:
                chunk = os.read(fd, 65536)
            except OSError:
                break
            got += chunk
            # The screen is cleared once; the first reading has no shares, the second has.
            if keys and got.count(b"\x1b[J") > 2:
                os.write(fd, keys)
                keys = b""
        self.check(time.monotonic() < end, f"{name}: it ended")
        if time.monotonic() >= end:
            os.kill(pid, signal.SIGKILL)
        self.check(os.waitpid(pid, 0)[1] == 0, f"{name}: exit status")
        os.close(fd)
        return got


class Reader:
    """A command that goes on, and what it wrote so far."""

    def __init__(self, screens, stub, *args):
        self.path = stub.dir / f"out-{os.urandom(4).hex()}"
        self.out = open(self.path, "wb")
        self.process = subprocess.Popen(
            screens.command(stub, *args), stdout=self.out, stderr=subprocess.PIPE
        )

    def until(self, condition):
        end = time.monotonic() + 15
        while not condition(self.path.read_bytes()) and time.monotonic() < end:
            time.sleep(0.02)

    def end(self, ask=True):
        if ask:
            self.process.send_signal(signal.SIGTERM)
        try:
            err = self.process.communicate(timeout=15)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            err = self.process.communicate()[1]
        self.out.close()
        return self.process.returncode, self.path.read_bytes(), err


def last_frame(data):
    """Of a live screen, with how it was entered and left."""
    first, *frames = data.split(b"\x1b[H")
    return first + b"...\n" + frames[-1] if frames else data


def usage(s):
    with Stub(answers()) as stub:
        for sort in ("name", "memory", "pids", "uptime"):
            s.plain(stub, f"top-{sort}", "top", "--once", "--sort", sort)
        s.plain(stub, "top-some", "top", "--once", "--sort", "name", "frozen", "a")
        s.plain(stub, "stats", "stats")
        s.plain(stub, "stats-json", "stats", "--json")
        s.plain(stub, "stats-of-none", "stats", "off")
        for columns in (120, 78):
            command = ("top", "--sort", "name")
            got = s.on_terminal(stub, f"live-{columns}", columns, *command, keys=b"q")
            s.compare(f"top-live-{columns}", last_frame(got))


def logs(s):
    with Stub(answers()) as stub:
        s.plain(stub, "logs", "logs", "a")
        s.plain(stub, "logs-lines", "logs", "a", "--lines", "2")
        s.plain(stub, "logs-json", "logs", "a", "--lines", "4", "--json")
        s.compare("logs-terminal", s.on_terminal(stub, "logs", 60, "logs", "a"))
        for name, more in (("logs-follow", ()), ("logs-follow-json", ("--json",))):
            stub.answers["qube.Log a"] = ok("one\ntwo\n")
            r = Reader(s, stub, "logs", "a", "--follow", "--lines", "1", *more)
            r.until(lambda b: b"two" in b)
            stub.answers["qube.Log a"] = ok("one\ntwo\nthree\nfour\n")
            r.until(lambda b: b"four" in b)
            stub.answers["qube.Log a"] = ok("another log\n")
            r.until(lambda b: b"another" in b)
            code, out, err = r.end()
            s.check(code == 0, f"{name}: exit status {code}")
            s.compare(name, out + b"--- errors\n" + err)


def traces(s):
    with Stub(answers()) as stub:
        s.plain(stub, "trace", "start", "a", "--trace", stream="stderr")
        s.plain(stub, "trace-json", "start", "a", "--trace", "--json", stream="stderr")
        s.plain(stub, "trace-kill", "kill", "a", "--trace", stream="stderr")


def events(s):
    with Stub(answers()) as stub:
        for name, more in (("events", ()), ("events-json", ("--json",)), ("events-of", ("a",))):
            r = Reader(s, stub, "events", *more)
            r.until(lambda _: stub.listeners() == 1)
            stub.tell("a", "domain-start", start_guid="True")
            stub.tell("frozen", "rpc-denied", service="x y\\", target="\x1b[m")
            stub.tell("", "domain-delete", vm="a")
            stub.tell("", "label-add", vm="a")
            r.until(lambda b: b"domain-delete" in b and (more == ("a",) or b"label-add" in b))
            stub.stop()
            code, out, err = r.end(ask=False)
            s.check(code == 1, f"{name}: exit status {code} when the host goes")
            s.compare(name, out + b"--- errors\n" + err)
            stub.start()
        r = Reader(s, stub, "events", "--follow")
        for n in (1, 2):
            r.until(lambda b, n=n: b.count(b"connection-established") == n)
            stub.tell("a", f"round-{n}")
            r.until(lambda b, n=n: f"round-{n}".encode() in b)
            stub.stop()
            r.until(lambda b, n=n: b.count(b"connection-lost") == n)
            if n == 1:
                stub.start()
        code, out, err = r.end()
        s.check(code == 0, f"events-follow: exit status {code}")
        s.compare("events-follow", out + b"--- errors\n" + err)


def main():
    program, golden = sys.argv[1:3]
    s = Screens(program, golden, sys.argv[3:] == ["--update"])
    os.environ["LC_ALL"] = "C"
    for group in (usage, logs, traces, events):
        group(s)
    print(f"{s.failed} failed")
    sys.exit(1 if s.failed else 0)


if __name__ == "__main__":
    main()
