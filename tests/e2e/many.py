#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two hundred qubes run at once, started eight at a time, while the host goes on answering; and
none of it is left when they stop."""

import json
import socket
import statistics
import time

from harness import equal, expect, main, nothing_left

COUNT = 200
REQUEST = b"admin.vm.tag.Get+x dom0 name q000\0"


def setup(host):
    host.create("calm")


def ask(host):
    """One request, as any client makes it; seconds."""
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(30)
        s.connect(str(host.socket))
        s.sendall(REQUEST)
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := s.recv(4096):
            answer += piece
    equal(answer, b"0\x000", "the answer")
    return time.monotonic() - began


def asked_while(host, process):
    times = []
    while process.poll() is None:
        times.append(ask(host))
        time.sleep(0.01)
    return times


def private_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        rows = dict(line.split()[:2] for line in f if line.count(" kB"))
    return 1024 * (int(rows["Private_Dirty:"]) + int(rows["Private_Clean:"]))


def test_two_hundred_qubes_run_at_once(host):
    names = [f"q{i:03}" for i in range(COUNT)]
    began = time.monotonic()
    for name in names:
        host.create(name, "--property", "autostart=True")
    created = time.monotonic() - began
    before = host.traces()
    del before["files"]  # private volumes and logs stay
    calm = statistics.median(ask(host) for _ in range(200))

    began = time.monotonic()
    starting = asked_while(host, host.spawn("start", "--autostart", "--quiet"))
    started = time.monotonic() - began
    states = {q["name"]: q["state"] for q in json.loads(host.ok("ls", "--json").out)}
    equal([n for n in names if states[n] != "Running"], [], "those that do not run")
    running = [ask(host) for _ in range(200)]
    memory = private_bytes(host.pid)
    equal(host.sh_ok("q000", "hostname").text, "q000", "the first")
    equal(host.sh_ok("q199", "hostname").text, "q199", "the last")

    began = time.monotonic()
    stopping = asked_while(host, host.spawn("shutdown", "--all", "--quiet"))
    stopped = time.monotonic() - began
    nothing_left(host, before)
    equal(list((host.run_dir / "boxes").iterdir()), [], "directories of boxes")

    def p(times, share):
        return sorted(times)[int(len(times) * share)] * 1000

    print(
        f"     created in {created:.1f} s, started in {started:.1f} s, stopped in {stopped:.1f} s"
    )
    print(f"     a request: calm {calm * 1000:.2f} ms, beside 200 {p(running, 0.5):.2f} ms")
    for what, times in (("starting", starting), ("stopping", stopping)):
        print(
            f"     while {what}: {len(times)} requests, median {p(times, 0.5):.2f} ms,"
            f" p99 {p(times, 0.99):.2f} ms, longest {max(times) * 1000:.2f} ms"
        )
    print(f"     private memory of qubed: {memory >> 10} KiB")
    expect(memory < 20 << 20, "at most 20 MiB")
    expect(statistics.median(running) < 3 * calm + 0.002, "as fast beside 200 as beside none")
    # Two processors are shared with the qubes that start: what is bounded is the wait for a turn.
    expect(p(starting, 0.99) < 250 and p(stopping, 0.99) < 250, "answered throughout")


main(globals(), setup)
