#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A process of the host's dies, or a domain does, and nothing is lost or left behind. The witnesses
are xl, xenstore-ls and losetup."""

import os
import pathlib
import signal
import subprocess
import time

import harness
from harness import equal, expect, until

RPC = "/run/qube/guest/qube-rpc"
STREAM = f"""cd /tmp
(while :; do echo x; sleep 0.1; done) | {RPC} vault demo.Sink >answer 2>/dev/null
echo $? >ended
"""
PROPERTIES = ("memory=200", "maxmem=400", "vcpus=1", "virt_mode=pv")


def create(host, name, *args):
    how = [word for p in PROPERTIES for word in ("--property", p)]
    host.ok("create", name, *args, *how)


def setup(host):
    host.policy("demo.Sink  *  app  vault  allow\n")
    host.ok("admin", "--payload", "lab", "admin.property.Set", "dom0", "default_kernel")
    for name in ("app", "vault"):
        create(host, name, "--template", "base")


def said(*command):
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()


def witnesses():
    """What there is of domains, however far one came."""
    domains = said("xl", "list").splitlines()[2:]
    nodes = subprocess.run(
        ["xenstore-ls", "/local/domain/0/backend/vbd"], capture_output=True, check=False, timeout=60
    ).stdout.decode()
    return domains, nodes.split(), said("losetup", "-a").splitlines()


def nothing_left():
    until(lambda: witnesses() == ([], [], []), "nothing is left of any domain", 60)


def programs(host, name):
    """Process ids of the host's programs of this name."""
    found = []
    for pid in harness.children(host.pid):
        line = harness.command_line(pid)
        if line and os.path.basename(line[0]) == name and not harness.gone(pid):
            found.append(pid)
    return found


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    until(lambda: harness.gone(pid), "it is gone")


def kill_qubed(host):
    os.kill(host.pid, signal.SIGKILL)
    host.daemon.wait(10)


def works(host):
    equal(host.state_of("app"), "Running", "state")
    equal(host.sh_ok("app", "cat /tmp/mark").text, "here", "it is the same one")


def test_a_kernel_without_a_disk_or_an_agent_runs(host):
    create(host, "bare", "--class", "StandaloneVM", "--property", "kernel=bare")
    host.ok("features", "bare", "qrexec", "")
    host.ok("start", "bare")
    equal(host.state_of("bare"), "Running", "state")
    log = pathlib.Path("/var/log/xen/guest-bare.log")
    until(lambda: b"bare: it runs" in log.read_bytes(), "what it says", 60)
    host.ok("pause", "bare")
    host.ok("unpause", "bare")
    host.ok("kill", "bare")
    host.ok("rm", "bare")
    nothing_left()


def threat_34_programs_of_the_host_die_and_the_domain_runs_on(host):
    host.sh_ok("app", "echo here >/tmp/mark")
    kill(host.broker())
    works(host)
    # One makes domains, the other does all else.
    helpers = programs(host, b"qube-xl")
    equal(len(helpers), 2, "helpers")
    for pid in helpers:
        kill(pid)
        works(host)
    host.ok("pause", "app")
    host.ok("unpause", "app")
    channels = programs(host, b"qube-vchan")
    expect(channels, "it has a control channel")
    for pid in channels:
        kill(pid)
    works(host)


def threat_34_a_call_ends_with_the_broker_that_holds_it(host):
    call = host.spawn("run", "app", "--", "echo begun; sleep 500")
    equal(call.stdout.readline(), b"begun\n", "it runs")
    kill(host.broker())
    call.communicate(timeout=60)
    expect(call.returncode != 0, "it ended, and not well")
    works(host)


def middle(host):
    """Seconds that a call takes."""
    times = []
    for _ in range(7):
        begin = time.monotonic()
        host.sh_ok("app", "true")
        times.append(time.monotonic() - begin)
    return sorted(times)[3]


def threat_21_a_frozen_domain_delays_nobody(host):
    host.sh_ok("vault", "true")
    alone = middle(host)
    said("xl", "pause", "vault")
    waiting = [host.spawn("run", "vault", "--", "true") for _ in range(6)]
    time.sleep(harness.SLOW)
    beside = middle(host)
    expect(all(p.poll() is None for p in waiting), "they wait for the frozen one")
    said("xl", "unpause", "vault")
    for p in waiting:
        p.communicate(timeout=120)
    print(f"a call takes {alone * 1000:.0f} ms, beside a frozen domain {beside / alone:.2f}x",
          flush=True)
    expect(beside < 2 * alone, "nobody else waits")
    equal([p.returncode for p in waiting], [0] * len(waiting), "those that waited")


def threat_21_a_channel_between_two_guests_ends_with_one_of_them(host):
    host.service("vault", "demo.Sink", "#!/bin/sh\necho ready\nexec cat >/dev/null\n")
    host.ok("run", "--detach", "app", "--", STREAM)
    until(lambda: b"ready" in host.sh("app", "cat /tmp/answer").out, "the call stands", 60)
    said("xl", "destroy", "vault")
    until(lambda: host.sh("app", "test -e /tmp/ended").code == 0, "the call is over", 60)
    expect(host.sh_ok("app", "cat /tmp/ended").text != "0", "and did not end well")
    works(host)
    until(lambda: host.state_of("vault") == "Halted", "it is halted", 60)


def threat_21_a_domain_that_ends_by_itself_is_settled(host):
    host.sh_ok("app", "echo kept >/home/user/kept; sync")
    said("xl", "destroy", "app")
    until(lambda: host.state_of("app") == "Halted", "it is halted", 60)
    nothing_left()
    equal(host.sh_ok("app", "cat /home/user/kept").text, "kept", "its home")


def threat_34_a_host_that_is_killed_while_a_domain_ends(host):
    ending = host.spawn("kill", "app")
    time.sleep(0.3)
    kill_qubed(host)
    ending.communicate(timeout=60)
    host.start()
    until(lambda: host.state_of("app") in ("Halted", "Running"), "it is this or that", 60)
    if host.state_of("app") == "Running":
        host.ok("kill", "app")
    nothing_left()


def threat_34_a_host_that_is_killed_while_a_domain_begins(host):
    for delay in (0.2, 1, 2.5):
        starting = host.spawn("start", "app")
        time.sleep(delay * harness.SLOW / 4)
        kill_qubed(host)
        starting.communicate(timeout=60)
        host.start()
        if host.state_of("app") != "Halted":
            host.ok("kill", "app")
        until(lambda: host.state_of("app") == "Halted", "it is halted", 60)
        nothing_left()
    equal(host.sh_ok("app", "cat /home/user/kept").text, "kept", "its home")


def test_all_of_it_is_removed(host):
    host.ok("kill", "app")
    host.ok("rm", "app", "vault")
    nothing_left()


harness.main(globals(), setup)
