#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains that end while they begin, from inside and from outside, as a person sees it: the start
fails and says why, nothing is left, and the next one succeeds."""

import subprocess
import time

import harness
from harness import equal, expect, until

PROPERTIES = ("memory=200", "maxmem=400", "vcpus=1", "virt_mode=pv")


def setup(host):
    host.policy("")
    host.ok("admin", "--payload", "lab", "admin.property.Set", "dom0", "default_kernel")
    how = [word for p in PROPERTIES for word in ("--property", p)]
    host.ok("create", "app", "--template", "base", *how)


def said(*command):
    return subprocess.run(
        command, capture_output=True, check=False, timeout=60
    ).stdout.decode()


def domains():
    return said("xl", "list").splitlines()[2:]


def nothing_left(host):
    until(lambda: host.state_of("app") == "Halted", "it is halted", 60)

    def left():
        nodes = said("xenstore-ls", "/local/domain/0/backend/vbd")
        return domains() + nodes.splitlines() + said("losetup", "-a").splitlines()

    end = time.monotonic() + 60
    while left():
        expect(time.monotonic() < end, f"nothing is left of any domain: {left()}")
        time.sleep(0.5)


def in_vain(host, why):
    begin = time.monotonic()
    r = host.qube("start", "app", timeout=240)
    took = time.monotonic() - begin
    print(f"{took:.1f} s: {r.why}", flush=True)
    expect(r.code != 0, "it does not start")
    expect(why in r.why, f"the reason: {r.why}")
    nothing_left(host)


def prefs(host, **properties):
    for name, value in properties.items():
        host.ok("prefs", "app", name, value)


def reset(host):
    for name in ("kernel", "kernelopts"):
        host.ok("prefs", "app", "--reset", name)


def threat_20_it_has_no_kernel_that_xen_can_start(host):
    prefs(host, kernel="noise")
    in_vain(host, "kernel")
    reset(host)


def threat_20_its_kernel_finds_nothing_to_run(host):
    prefs(host, kernelopts="rdinit=/nowhere root=/dev/nowhere init=/nowhere")
    in_vain(host, "it crashed")
    reset(host)


def threat_20_its_first_program_ends_it(host):
    prefs(host, kernel="off")
    in_vain(host, "it was switched off from inside")
    reset(host)


def threat_20_it_is_destroyed_from_outside_while_it_begins(host):
    for delay in (0, 0.5, 1.5, 4):
        starting = host.spawn("start", "app")
        until(domains, "there is a domain", 60)
        time.sleep(delay * harness.SLOW / 4)
        said("xl", "destroy", "app")
        _, err = starting.communicate(timeout=240)
        print(f"after {delay} s: {starting.returncode}, {err.decode().strip()}", flush=True)
        expect(starting.returncode != 0 and err, "the start fails, and says so")
        nothing_left(host)


def test_then_it_starts_also_as_pvh(host):
    prefs(host, virt_mode="pvh")
    equal(host.sh_ok("app", "echo well").text, "well", "a call")
    host.sh_ok("app", "test -d /lib/modules/$(uname -r)/kernel && ! touch /lib/modules/x", "root")
    host.ok("kill", "app")
    host.ok("rm", "app")
    until(lambda: not domains(), "nothing is left", 60)


harness.main(globals(), setup)
