#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A gigabyte from one qube to another: while the host is frozen, and with the host counting
bytes."""

import hashlib
import json
import os
import signal

from harness import equal, expect, main, status_of, transferred, until

SIZE = 1 << 30
STALL = 3.0  # seconds; other programs share the processors
COUNTED = 64 << 10

SINK = """#!/usr/bin/python3
import hashlib, os, sys
os.write(1, b"ready\\n")
h = hashlib.sha256()
n = 0
while True:
    data = os.read(0, 1 << 18)
    if not data:
        break
    h.update(data)
    n += len(data)
os.write(1, b"%d %s\\n" % (n, h.hexdigest().encode()))
"""

# Says what it measured in a file: the host may be frozen.
SOURCE = """
import hashlib, json, os, subprocess, sys, time
size, name = int(sys.argv[1]), sys.argv[2]
p = subprocess.Popen(["/run/qube/guest/qube-rpc", "vault", "demo.Sink"], stdin=subprocess.PIPE,
                     stdout=subprocess.PIPE, bufsize=0)
p.stdout.readline()
open("ready", "w").close()
while not os.path.exists("go"):
    time.sleep(0.01)
block = os.urandom(1 << 20)
h = hashlib.sha256()
sent = 0
longest = 0
begin = last = time.monotonic()
while sent < size:
    piece = sent.to_bytes(8, "big") + block[8:]
    h.update(piece)
    at = 0
    while at < len(piece):
        at += p.stdin.write(memoryview(piece)[at:])
    sent += len(piece)
    now = time.monotonic()
    longest = max(longest, now - last)
    last = now
p.stdin.close()
answer = p.stdout.read().split()
p.wait()
with open("result.new", "w") as f:
    json.dump({"sent": h.hexdigest(), "got": answer[1].decode(), "bytes": int(answer[0]),
               "code": p.returncode, "seconds": time.monotonic() - begin, "longest": longest}, f)
os.rename("result.new", name)
"""


def setup(host):
    host.policy("demo.Sink * work vault allow\n")
    host.create("work")
    host.create("vault")
    host.service("vault", "demo.Sink", SINK)
    host.sh_ok("work", "cat >source.py", data=SOURCE.encode())


def stream(host, name, around):
    """One stream; around(transfer) is called when the call stands."""
    home = host.home("work")
    for old in ("ready", "go", name):
        (home / old).unlink(missing_ok=True)
    host.ok("run", "--detach", "work", "--", f"exec python3 source.py {SIZE} {name}")
    until((home / "ready").exists, "the call stands")

    def transfer():
        (home / "go").touch()
        return until(
            lambda: (home / name).exists() and json.loads((home / name).read_text()),
            "the gigabyte is there",
            120,
        )

    r = around(transfer)
    print(
        f"     {r['bytes'] >> 20} MiB in {r['seconds']:.2f} s, "
        f"{(r['bytes'] >> 20) / r['seconds']:.0f}"
        f" MiB/s, longest wait {r['longest'] * 1000:.0f} ms"
    )
    equal((r["code"], r["bytes"]), (0, SIZE), "exit code and size")
    equal(r["got"], r["sent"], "checksum")
    expect(r["longest"] < STALL, f"stalled for {r['longest']:.1f} s")


def test_the_broker_has_no_capability_and_a_filter(host):
    status = status_of(host.broker())
    for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        equal(int(status[field], 16), 0, field)
    equal(status["Seccomp"].strip(), "2", "Seccomp")
    equal(status["NoNewPrivs"].strip(), "1", "NoNewPrivs")
    equal(status["Groups"].strip(), "", "groups")
    expect(all(int(u) != 0 for u in status["Uid"].split()), f"it is root: {status['Uid']}")


def test_a_gigabyte_streams_while_qubed_and_the_broker_are_stopped(host):
    def frozen(transfer):
        pids = (host.pid, host.broker())
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            for pid in pids:
                until(lambda p=pid: status_of(p)["State"].startswith("T"), "it is stopped")
            result = transfer()
            for pid in pids:
                expect(status_of(pid)["State"].startswith("T"), "it was not stopped throughout")
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        return result

    stream(host, "frozen", frozen)
    equal(host.sh("work", "exit 5").code, 5, "a call afterwards")


def test_a_gigabyte_passes_neither_through_qubed_nor_the_broker(host):
    def counted(transfer):
        pids = (host.pid, host.broker())
        before = [transferred(p) for p in pids]
        result = transfer()
        grown = [transferred(p) - b for p, b in zip(pids, before)]
        print(f"     qubed moved {grown[0]} bytes, the broker {grown[1]}")
        expect(sum(grown) < COUNTED, f"qubed and broker moved {grown} bytes")
        return result

    stream(host, "counted", counted)


def test_both_directions_at_once(host):
    host.service("vault", "demo.Sink", "#!/bin/sh\nexec cat\n")
    blob = hashlib.sha256(b"seed").digest() * (1 << 19)  # 16 MiB
    r = host.call("work", "vault", "demo.Sink", blob, timeout=120)
    expect(r.out == blob, f"{len(r.out)} of {len(blob)} bytes came back, exit {r.code}")


main(globals(), setup)
