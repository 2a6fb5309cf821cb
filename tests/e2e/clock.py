#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The wall's clock is set, hours forwards and back, while qubes start, run, are called, stop, and
are adopted. Nothing is late or early for it, nothing changes its order."""

import json
import os
import re
import signal
import struct
import time

from harness import Host, equal, expect, main, until

HOUR = 3600
YEAR = 365 * 24 * HOUR


class Shifted(Host):
    """A host whose qubed, and the command line that asks it, look at our clock."""

    def __init__(self):
        super().__init__()
        self.clock = self.dir / "clock"
        self.clock.write_bytes(bytes(8))
        library = self.bin.parent / "tests/shift_clock.so"
        expect(library.exists(), f"{library} is not there")
        self.environment = {"LD_PRELOAD": str(library), "QUBE_TEST_CLOCK": str(self.clock)}

    def start(self, wait=True):
        os.environ.update(self.environment)
        return super().start(wait)

    def close(self):
        for name in self.environment:
            os.environ.pop(name, None)
        super().close()

    def set(self, seconds):
        with open(self.clock, "r+b") as f:
            f.write(struct.pack("=q", seconds))


def stats(host, name):
    return json.loads(host.ok("stats", name, "--json").out)[0]


def shifted_host():
    host = Shifted()
    host.start()
    host.create("work")
    return host


def revisions(host, name):
    rows = json.loads(host.ok("volume", "revisions", name, "root", "--json").out)
    return [re.match(r"(\d+)-", r if isinstance(r, str) else r["revision"])[1] for r in rows]


def test_a_life_while_the_clock_jumps():
    with shifted_host() as host:
        events = host.events()
        for before, after in ((HOUR, -HOUR), (-YEAR, YEAR), (YEAR, 0)):
            host.set(before)
            begin = time.monotonic()
            p = host.spawn("start", "work")
            host.set(after)
            equal(p.wait(20), 0, "a start")
            equal(host.sh("work", "exit 3").code, 3, "a call")
            p = host.spawn("run", "work", "--", "sleep 1; exit 4")
            host.set(before)
            equal(p.wait(20), 4, "a call over a jump")
            p = host.spawn("shutdown", "work")
            host.set(after)
            equal(p.wait(20), 0, "a shutdown")
            expect(time.monotonic() - begin < 20, "it took as long as it takes")
        # Another clock, and the events are as they came.
        seen = [e["event"] for e in events.list if e.get("subject") == "work"]
        seen = [e for e in seen if e in ("domain-start", "domain-shutdown")]
        equal(seen, ["domain-start", "domain-shutdown"] * 3, "the order of events")


def test_deadlines_last_as_long_as_they_last():
    with shifted_host() as host:
        host.ok("start", "work")
        for jump in (YEAR, -YEAR):
            host.set(0)
            begin = time.monotonic()
            p = host.spawn("wait", "work", "--state", "Halted", "--timeout", "2")
            time.sleep(0.5)
            host.set(jump)
            equal(p.wait(20), 124, "the time was up")
            took = time.monotonic() - begin
            expect(1.9 < took < 6, f"two seconds were {took:.1f}")
        # One that the host keeps: who ignores the request is killed after its time.
        host.set(0)
        host.ok("pause", "work")
        begin = time.monotonic()
        host.ok("unpause", "work")
        p = host.spawn("shutdown", "work", "--or-kill", "--timeout", "3")
        host.set(-YEAR)
        equal(p.wait(20), 0, "a shutdown with a time limit")
        expect(time.monotonic() - begin < 8, "it took longer than its limit")


def test_uptime_and_shares():
    with shifted_host() as host:
        host.ok("start", "work")
        host.sh_ok("work", "sleep 2")
        now = time.time() * 1000
        for jump in (0, HOUR, -HOUR, 0):
            host.set(jump)
            s = stats(host, "work")
            age = now + jump * 1000 - s["start_time_ms"]
            expect(1500 < age < 30000, f"{age} ms old after a jump of {jump} s")
            equal(s["start_time_ms"], stats(host, "work")["start_time_ms"], "told twice")
            row = host.ok("top", "--once", "work").text.splitlines()[-1]
            expect(re.search(r" 0:00:\d\d ", row), f"uptime in {row!r}")
            expect(re.search(r" \d+\.\d ", row), f"no share in {row!r}")


def test_revisions_keep_their_order():
    with shifted_host() as host:
        host.ok("clone", "base", "tpl")
        host.ok("volume", "set", "tpl", "root", "revisions_to_keep", "8")
        for n, jump in enumerate((0, HOUR, -YEAR, -2 * YEAR, HOUR)):
            host.set(jump)
            host.sh_ok("tpl", f"echo {n} >/etc/mark", "root")
            host.ok("shutdown", "tpl")
        numbers = [int(n) for n in revisions(host, "tpl")]
        equal(numbers, sorted(set(numbers)), "oldest first")
        expect(len(numbers) >= 5, f"revisions {numbers}")
        equal(host.sh("tpl", "cat /etc/mark").text, "4", "the newest state")
        host.ok("shutdown", "tpl")
        host.set(-3 * YEAR)
        host.ok("volume", "revert", "tpl", "root")
        equal(host.sh("tpl", "cat /etc/mark").text, "3", "the one before")
        host.ok("shutdown", "tpl")
        # What was kept is found by the next host, whatever its clock says.
        again = revisions(host, "tpl")
        host.set(-10 * YEAR)
        host.stop()
        host.start()
        equal(revisions(host, "tpl"), again, "after a restart")


def test_adoption_after_a_jump():
    with shifted_host() as host:
        host.ok("start", "work")
        pid = host.box("work")
        for jump in (YEAR, -YEAR):
            os.kill(host.pid, signal.SIGKILL)
            host.daemon.wait(10)
            host.set(jump)
            host.start()
            until(lambda: host.state_of("work") == "Running", "it is adopted")
            equal(host.box("work"), pid, "the same box")
            equal(host.sh("work", "exit 5").code, 5, "a call")
            age = time.time() * 1000 + jump * 1000 - stats(host, "work")["start_time_ms"]
            expect(0 < age < 60000, f"{age} ms old")
        host.ok("shutdown", "work")


def test_names_of_disposables_are_not_reused():
    with shifted_host() as host:
        host.ok("create", "dvm", "--template", "base", "-p", "template_for_dispvms=True")
        names = set()
        for jump in (0, YEAR, -YEAR, 2 * YEAR, 0, 0):
            host.set(jump)
            name = host.ok("create", "--disposable=dvm").text
            expect(name not in names, f"{name} again")
            names.add(name)
            host.ok("rm", name)


if __name__ == "__main__":
    main(globals())
