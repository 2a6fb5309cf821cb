#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A template that is started to be thrown away or kept, whatever ends it; and which running qubes
are on what their template was before."""

import os
import signal
import subprocess

from harness import Skip, equal, expect, main, nothing_left, until


def setup(host):
    host.ok("clone", "base", "tpl")
    host.ok("create", "app", "--template", "tpl")
    # What a first start makes stays.
    host.ok("start", "app", "tpl")
    host.ok("shutdown", "app", "tpl")


def write(host, name, *start):
    host.ok("start", *start, "tpl")
    host.sh_ok("tpl", f"echo {name} >/etc/{name}; chmod 644 /etc/{name}", "root")


def has(host, name):
    """Whether the template has the file, seen from a fresh qube of it."""
    there = host.sh("app", f"cat /etc/{name}").code == 0
    host.ok("shutdown", "app")
    return there


def test_what_is_written_goes_with_a_shutdown_or_a_kill(host):
    before = host.traces()
    for end in ("shutdown", "kill"):
        write(host, "gone", "--discard")
        host.ok(end, "tpl")
        expect(not has(host, "gone"), f"it is there after {end}")
        nothing_left(host, before)


def test_it_is_kept_if_the_shutdown_says_so(host):
    write(host, "kept", "--discard")
    host.ok("shutdown", "--keep", "tpl")
    expect(has(host, "kept"), "it is not there")
    write(host, "usual")
    host.ok("shutdown", "tpl")
    expect(has(host, "usual"), "a usual session is not kept")


def test_that_it_could_not_be_kept_is_told(host):
    layers = host.state / "pools/default/layers"
    write(host, "lost", "--discard")
    done = subprocess.run(["chattr", "+i", layers], capture_output=True, check=False)
    if done.returncode:
        host.ok("kill", "tpl")
        raise Skip(f"chattr: {done.stderr.decode(errors='replace').strip()}")
    try:
        r = host.qube("shutdown", "--keep", "tpl")
    finally:
        subprocess.run(["chattr", "-i", layers], check=True)
    equal(r.code, 1, f"shutdown --keep: {r}")
    expect("keep the writes of" in r.why, r.why)
    equal(host.state_of("tpl"), "Halted", "state")
    expect(not has(host, "lost"), "it is there")
    host.ok("start", "tpl")
    equal(host.sh("tpl", "cat /etc/lost").code, 1, "seen by the template itself")
    host.ok("shutdown", "tpl")


def test_a_machine_that_dies_keeps_nothing(host):
    write(host, "died", "--discard")
    os.kill(host.box("tpl"), signal.SIGKILL)
    until(lambda: host.state_of("tpl") == "Halted", "it is halted")
    expect(not has(host, "died"), "it is there")


def crash(host):
    host.daemon.kill()
    host.daemon.wait(10)
    host.start()


def threat_34_neither_does_one_that_another_host_adopts(host):
    write(host, "adopted", "--discard")
    crash(host)
    equal(host.state_of("tpl"), "Running", "the template")
    host.ok("shutdown", "tpl")
    expect(not has(host, "adopted"), "it is there")
    write(host, "adopted", "--discard")
    crash(host)
    host.ok("shutdown", "--keep", "tpl")
    expect(has(host, "adopted"), "it is not there")


def threat_34_nor_one_that_died_with_its_host(host):
    write(host, "both", "--discard")
    box = host.box("tpl")
    host.daemon.kill()
    host.daemon.wait(10)
    os.kill(box, signal.SIGKILL)
    host.start()
    equal(host.state_of("tpl"), "Halted", "the template")
    expect(not has(host, "both"), "it is there")


def test_what_cannot_be_discarded_is_refused(host):
    r = host.qube("start", "--discard", "app")
    equal((r.code, r.why), (1, "qube: the root of 'app' is not kept anyway"), "an AppVM")
    host.ok("start", "tpl")
    r = host.qube("start", "--discard", "tpl")
    equal(r.code, 1, "a running template")
    expect("'tpl' runs" in r.why, r.why)
    host.ok("shutdown", "tpl")
    equal(host.qube("start", "--discard", "--autostart").code, 2, "with --autostart")
    equal(host.qube("shutdown", "--keep", "--all").code, 2, "with --all")


def needs(host):
    return {n for n, q in host.qubes().items() if q["restart_needed"]}


def test_a_running_qube_of_an_older_state_says_so(host):
    host.ok("start", "app")
    equal(needs(host), set(), "before")
    write(host, "newer")
    equal(needs(host), set(), "while the template runs")
    host.ok("shutdown", "tpl")
    equal(needs(host), {"app"}, "after")
    expect("Running, restart needed" in host.ok("ls", "app").text, "qube ls")
    crash(host)
    equal(needs(host), {"app"}, "of an adopted one")
    host.ok("shutdown", "app")
    equal(needs(host), set(), "of a halted one")
    host.ok("start", "app")
    equal(needs(host), set(), "after its restart")
    host.ok("shutdown", "app")


main(globals(), setup)
