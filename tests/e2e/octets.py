#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bytes from inside a guest: every value in every field, every length, escapes to a terminal."""

import json
import os
import pathlib
import pty
import select
import string
import subprocess
import time

from harness import equal, expect, main, until

RAW = (pathlib.Path(__file__).parent / "guest_raw.py").read_text()
NAME = set((string.ascii_letters + string.digits + "_-.").encode())
SERVICE = NAME | {ord("+")}

# What the service saw, each with a NUL behind it.
TELL = """#!/bin/sh
printf '%s\\000' "$#" "$1" "$QREXEC_SERVICE_ARGUMENT" "$QREXEC_SERVICE_FULL_NAME" \\
  "$QREXEC_REMOTE_DOMAIN"
"""
ENVIRONMENT = """#!/usr/bin/python3
import json, os
print(json.dumps(dict(os.environ), sort_keys=True))
"""


def setup(host):
    host.policy("""
*          *  work  vault  allow
*          *  work  @anyvm deny
""")
    host.create("work")
    host.create("vault")
    host.service("vault", "demo.Tell", TELL)
    host.service("vault", "demo.Env", ENVIRONMENT)
    host.sh_ok("work", "true")


def table(host, script, *args):
    r = host.python_ok("work", RAW + script, *args, timeout=120)
    return [json.loads(line) for line in r.out.splitlines()]


def threat_01_all_bytes_of_an_argument_from_a_guest(host):
    """Refused, or the service's argument is those bytes."""
    rows = table(
        host,
        """
import json
for b in range(256):
    for arg in (bytes([b]), b"a" + bytes([b]) + b"c"):
        out, code = raw_call(b"demo.Tell+" + arg, b"vault")
        print(json.dumps([arg.hex(), out and out.hex(), code]))
""",
    )
    equal(len(rows), 512, "rows")
    for sent, out, code in rows:
        arg = bytes.fromhex(sent)
        # A NUL ends the field: no other reading of it may arrive.
        if not set(arg) <= SERVICE:
            equal((out, code), (None, None), f"argument {arg!r}")
            continue
        expect(out, f"argument {arg!r} is refused, exit code {code}")
        equal(
            bytes.fromhex(out).split(b"\0")[:-1],
            [b"1", arg, arg, b"demo.Tell+" + arg, b"work"],
            f"what the service saw of {arg!r}",
        )


def threat_01_all_bytes_of_a_service_name_from_a_guest(host):
    """Refused, or looked for under exactly that name: only demo.Tell is there."""
    rows = table(
        host,
        """
import json
for b in range(256):
    for name in (b"demo.Tell" + bytes([b]), bytes([b]) + b"demo.Tell",
                 b"demo" + bytes([b]) + b"Tell"):
        out, code = raw_call(name, b"vault")
        print(json.dumps([name.hex(), bool(out), code]))
""",
    )
    for sent, ran, code in rows:
        name = bytes.fromhex(sent)
        if name in (b"demo.Tell", b"demo.Tell+"):
            equal((ran, code), (True, 0), f"service {name!r}")
        elif set(name) <= SERVICE and not name.startswith(b"+"):
            equal((ran, code), (False, 127), f"service {name!r} is searched as it is")
        else:
            equal((ran, code), (False, None), f"service {name!r}")


def threat_01_all_bytes_of_a_target_from_a_guest(host):
    """What the policy was asked is what was sent, or it was not asked."""
    events = host.events()
    rows = table(
        host,
        """
import json
for b in range(256):
    for name in (bytes([b]), b"vaul" + bytes([b]), b"x" + bytes([b]) + b"y"):
        out, code = raw_call(b"demo.Tell", name)
        print(json.dumps([name.hex(), bool(out), code]))
""",
    )
    host.call("work", "last", "demo.Tell")
    events.wait("rpc-denied", "work", target="last")
    asked = {e["fields"]["target"] for e in events.list if e["event"] == "rpc-denied"} - {"last"}
    for sent, ran, code in rows:
        name = bytes.fromhex(sent)
        if name == b"vault":
            equal((ran, code), (True, 0), f"target {name!r}")
            continue
        equal((ran, code), (False, None), f"target {name!r}")
        if set(name) <= NAME:
            expect(name.decode() in asked, f"the policy was not asked about {name!r}")
    for target in asked:
        expect(set(target.encode()) <= NAME | set(b"@:"), f"the policy was asked about {target!r}")
    equal(
        {bytes.fromhex(r[0]).decode() for r in rows if set(bytes.fromhex(r[0])) <= NAME}
        - {"vault"}
        - asked,
        set(),
        "targets that never reached the policy",
    )


def threat_01_all_bytes_of_a_claimed_source_from_a_guest(host):
    rows = table(
        host,
        """
import json
for b in range(256):
    for name in (bytes([b]), b"wor" + bytes([b])):
        out, code = raw_call(b"demo.Tell", b"vault", source=name)
        print(json.dumps([name.hex(), out and out.hex()]))
""",
    )
    for sent, out in rows:
        if out:
            equal(
                bytes.fromhex(out).split(b"\0")[4],
                b"work",
                f"who calls, for source {bytes.fromhex(sent)!r}",
            )


def threat_02_all_lengths_of_a_request_from_a_guest(host):
    """Any length with any type: the connection ends and the agent is the same one."""
    agent = host.sh_ok("work", "echo $QREXEC_AGENT_PID", "root").text
    lengths = [
        0,
        1,
        2,
        7,
        8,
        95,
        96,
        97,
        98,
        127,
        128,
        129,
        159,
        160,
        161,
        162,
        4096,
        65000,
        65095,
        65096,
        65097,
        65160,
        65161,
        65535,
        65536,
        65537,
        1 << 20,
        (1 << 31) - 1,
        1 << 31,
        (1 << 32) - 1,
    ]
    rows = table(
        host,
        """
import json, sys
def send(kind, size, fill):
    s = connect()
    try:
        s.sendall(struct.pack("<II", kind, size) + fill * min(size, 70000))
        s.shutdown(socket.SHUT_WR)
        data, fds = answer(s)
    except (BrokenPipeError, ConnectionError):
        data, fds = b"", []
    s.close()
    return len(data), len(fds)
for kind in (TRIGGER, TRIGGER3, TRIGGER4, HELLO, 0x200, 0x202, 0x203, 0x211, 0x190, 0x193, 0,
             0xffffffff):
    for size in json.loads(sys.argv[1]):
        for fill in (b"\\0", b"a", b"\\xff"):
            print(json.dumps([kind, size, send(kind, size, fill)]))
""",
        json.dumps(lengths),
    )
    equal(len(rows), 12 * len(lengths) * 3, "rows")
    for kind, size, got in rows:
        equal(got, [0, 0], f"answer to type {kind:#x} of {size} bytes")
    equal(host.sh_ok("work", "echo $QREXEC_AGENT_PID", "root").text, agent, "the agent's pid")
    equal(host.call("work", "vault", "demo.Tell").code, 0, "a call afterwards")


def threat_02_over_long_names_are_refused_from_a_guest(host):
    rows = table(
        host,
        """
import json
for n in (1, 200, 254, 255, 256, 257, 1000):
    print(json.dumps(["name", n, raw_call(b"s" * n, b"vault")[1]]))
for n in (1, 1000, 60000, 64980, 64989, 64990, 64991):
    out, code = raw_call(b"demo.Tell+" + b"a" * n, b"vault")
    print(json.dumps(["argument", n, code, out and len(out.split(b"\\0")[1])]))
for n in (1, 62, 63, 64):
    s = connect()
    s.sendall(trigger(b"demo.Tell", b"t" * n))
    print(json.dumps(["target", n, len(answer(s)[0])]))
""",
    )
    for kind, n, code, *rest in rows:
        if kind == "name":
            equal(code, 127 if n <= 255 else None, f"a name of {n} bytes")
        elif kind == "target":
            equal(code, 0, f"a target of {n} bytes")
        elif code == 0:
            equal(rest, [n], f"an argument of {n} bytes arrives cut")
    expect(
        [r for r in rows if r[:3] == ["argument", 1000, 0]], "an argument of 1,000 bytes is refused"
    )


def threat_05_nothing_more_is_sent_than_what_is_meant(host):
    """The agent's answer to a caller is eight bytes; a service's environment is a known list."""
    rows = table(
        host,
        """
import json
for service in (b"demo.Tell", b"demo.Missing"):
    s = connect()
    s.sendall(trigger(service, b"vault"))
    data, fds = answer(s)
    print(json.dumps([len(data), len(fds), converse(fds)[1]]))
    s.settimeout(0.3)
    try:
        rest = len(s.recv(100))
    except socket.timeout:
        rest = 0
    print(json.dumps(rest))
    s.close()
print(json.dumps([json.loads(raw_call(b"demo.Env+same", b"vault")[0]) for i in range(3)]))
""",
    )
    equal(rows[:4], [[8, 2, 0], 0, [8, 2, 127], 0], "answers of the agent")
    same = rows[4]
    expect(same[0] == same[1] == same[2], f"three equal calls differ: {same}")
    known = {"HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "SHLVL", "USER", "_", "LC_CTYPE"}
    equal(
        [k for k in same[0] if k not in known and not k.startswith("QREXEC_")],
        [],
        "variables of the environment",
    )


def on_terminal(host, *args):
    """What a person's terminal receives."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        host.command(*args), stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    out = b""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if select.select([master], [], [], 0.05)[0]:
            try:
                more = os.read(master, 65536)
            except OSError:
                break
            out += more
        elif process.poll() is not None:
            break
    process.wait(10)
    os.close(master)
    return out


HOSTILE = (
    b'\033]0;title\007|\033]52;c;cm0gLXJm\007|\033[6n|\033[c|\033P$q"p\033\\|\0334|\033[5i|'
    b"\302\233"
    b"31m|\233"
    b"31m|\342\200\256evil|\033[20t|\033#8|\016|\005|end\n"
)


def hostile_script(where=""):
    octal = "".join(f"\\{b:03o}" for b in HOSTILE)
    return f"printf '%b' '{octal.replace(chr(92), chr(92) + '0')}' {where}"


def threat_04_a_guest_s_output_is_harmless_on_a_terminal(host):
    for where in ("", ">&2"):
        out = on_terminal(host, "run", "work", "--", hostile_script(where))
        expect(b"end" in out, f"nothing came: {out!r}")
        bad = [b for b in out if not (32 <= b < 127 or b in b"\t\n\r\b\a")]
        equal(bad, [], f"bytes that a terminal may act on, in {out!r}")


def threat_04_with_a_pty_only_what_draws_passes(host):
    out = on_terminal(
        host, "run", "--pty", "work", "--", hostile_script() + "; printf '\\033[31mred\\033[0m\\n'"
    )
    expect(b"end" in out and b"\033[31mred" in out, f"not all came: {out!r}")
    for bad in (
        b"\033]",
        b"\033P",
        b"\033[6n",
        b"\033[c",
        b"\033[5i",
        b"\033[20t",
        b"\302\233",
        b"\233",
        b"\342\200\256",
        b"\005",
    ):
        expect(bad not in out, f"{bad!r} reached the terminal: {out!r}")


def threat_04_to_a_pipe_nothing_is_changed(host):
    equal(host.sh("work", hostile_script()).out, HOSTILE, "output to a pipe")


def threat_04_what_a_guest_names_is_escaped_in_listing_event_and_log(host):
    host.policy(
        "admin.vm.feature.Set * work work allow target=dom0\n"
        "admin.vm.feature.Set * work vault allow target=dom0\n",
        name="20-admin.policy",
    )
    events = host.events()
    host.call("work", "vault", "admin.vm.feature.Set+loud", HOSTILE.replace(b"\n", b""))
    until(lambda: events.list, "an event")
    out = on_terminal(host, "features", "vault")
    equal([b for b in out if not (32 <= b < 127 or b in b"\n\r")], [], f"in the listing: {out!r}")
    out = host.ok("features", "vault").out + host.log_bytes()
    expect(b"\033" not in out and b"\233" not in out, "an escape in a listing or a log")


main(globals(), setup)
