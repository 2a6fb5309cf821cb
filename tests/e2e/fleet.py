#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host that comes up and goes down: qubes by autostart, all of them at the end, in the order in
which they need each other and in time; a socket that a service manager passes."""

import json
import os
import socket
import subprocess
import time

from harness import equal, expect, main


def setup(host):
    host.create("net", "--property", "provides_network=True")
    host.create("fire", "--property", "provides_network=True", "--property", "netvm=net")
    host.create("work", "--property", "netvm=fire")
    host.create("alone")
    for name in ("work", "alone"):
        host.ok("prefs", name, "autostart", "True")


def test_autostart_starts_who_asks_for_it(host):
    got = json.loads(host.ok("start", "--autostart", "--json").out)
    equal(sorted(q["name"] for q in got if q["done"]), ["alone", "work"], "started")
    equal(host.state_of("fire"), "Halted", "one that does not ask")
    again = json.loads(host.ok("start", "--autostart", "--json").out)
    equal(again, [], "what runs already")


def test_shutdown_stops_who_serves_others_last(host):
    host.ok("start", "net", "fire", "work", "alone")
    got = json.loads(host.ok("shutdown", "--all", "--json").out)
    names = [q["name"] for q in got]
    equal(sorted(names), ["alone", "fire", "net", "work"], "stopped")
    expect(names.index("work") < names.index("fire") < names.index("net"), f"order: {names}")
    for name in names:
        equal(host.state_of(name), "Halted", name)
    equal(host.ok("shutdown", "--all").out, b"", "nothing runs")


def test_what_does_not_stop_is_killed_in_time(host):
    host.ok("start", "net", "fire")
    host.ok("run", "--detach", "fire", "--", "trap '' TERM; sleep 1000")
    host.ok("pause", "fire")
    began = time.monotonic()
    host.ok("shutdown", "--all", "--timeout", "2")
    expect(time.monotonic() - began < 12, "the time limit is for all of it")
    equal(host.state_of("fire"), "Halted", "the paused one")
    equal(host.state_of("net"), "Halted", "the one behind it")


def test_names_and_all_exclude_each_other(host):
    equal(host.qube("shutdown", "--all", "work").code, 2, "both")
    equal(host.qube("shutdown").code, 2, "neither")
    equal(host.qube("start").code, 2, "start without names")


def test_a_socket_is_taken_from_a_service_manager(host):
    host.stop()
    path = str(host.dir / "passed.sock")
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.bind(path)
    s.listen(16)
    args = [str(a) for a in host.daemon_args()]
    at = args.index("--socket")
    del args[at : at + 2]
    # The number of the process is known in the process alone.
    script = (
        "import os,sys; os.environ['LISTEN_PID']=str(os.getpid()); os.environ['LISTEN_FDS']='1';"
        " os.execv(sys.argv[1], sys.argv[1:])"
    )
    log = open(host.dir / "passed.log", "wb")
    daemon = subprocess.Popen(
        ["python3", "-c", script, *args],
        preexec_fn=lambda: (os.dup2(s.fileno(), 3), os.set_inheritable(3, True)),
        pass_fds=(3,),
        stderr=log,
    )
    try:
        # A connection waits in the queue until the daemon is up.
        out = subprocess.run(
            [str(host.bin / "qube"), "--socket", path, "ls", "--names"],
            stdout=subprocess.PIPE,
            timeout=30,
            check=True,
        ).stdout
        expect(b"work\n" in out, f"listed: {out!r}")
    finally:
        daemon.terminate()
        equal(daemon.wait(30), 0, "its exit status")
        s.close()
    expect(os.path.exists(path), "who made the socket removes it")
    host.start()


main(globals(), setup)
