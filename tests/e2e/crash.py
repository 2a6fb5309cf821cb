#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Broker or qubed killed with -9 in the middle of things; each time the host is whole
again after."""

import os
import signal
import socket
import subprocess
import threading
import time

from harness import Host, cgroup_root, children, equal, expect, gone, main, until

ECHO = "#!/bin/sh\nexec cat\n"
POLICY = "demo.Echo * work vault allow\ndemo.Echo * work @dispvm:dvm allow\n"


def furnish(host):
    host.policy(POLICY)
    host.create("work")
    host.create("vault")
    host.service("vault", "demo.Echo", ECHO)
    host.sh_ok("work", "echo kept >/home/user/kept")


def works(host):
    equal(host.sh("work", "cat kept").out, b"kept\n", "a file of the home")
    equal(host.call("work", "vault", "demo.Echo", b"ping").out, b"ping", "a call")


def kill_broker(host):
    pid = host.broker()
    os.kill(pid, signal.SIGKILL)
    until(lambda: host.broker() not in (None, pid), "there is a new broker")


def test_qubes_run_on_when_the_broker_is_killed():
    with Host() as host:
        furnish(host)
        box = host.box("work")
        host.sh_ok(
            "work", "(while :; do date >/home/user/beat; sleep 0.05; done) >/dev/null 2>&1 &"
        )
        for _ in range(3):
            kill_broker(host)
            until(lambda: host.sh("work", "exit 7").code == 7, "calls work again")
            works(host)
        equal(host.box("work"), box, "the box")
        beat = host.home("work") / "beat"
        then = beat.stat().st_mtime_ns
        until(lambda: beat.stat().st_mtime_ns != then, "its processes go on")


def test_a_stream_between_qubes_outlives_the_broker():
    with Host() as host:
        furnish(host)
        call = host.sh_ok(
            "work",
            """
            ( (echo one; while [ ! -e go ]; do sleep 0.02; done; echo two) |
              /run/qube/guest/qube-rpc vault demo.Echo >got; echo $? >code ) >/dev/null 2>&1 &
            while ! grep -q one got 2>/dev/null; do sleep 0.02; done""",
        )
        equal(call.code, 0, "the call stands")
        kill_broker(host)
        home = host.home("work")
        (home / "go").touch()
        until(lambda: (home / "code").exists() and (home / "code").read_text(), "the call's end")
        equal(
            ((home / "code").read_text(), (home / "got").read_text()), ("0\n", "one\ntwo\n"), "call"
        )
        works(host)


def test_calls_of_the_host_that_the_broker_carried_end_with_an_error():
    with Host() as host:
        furnish(host)
        p = host.spawn("run", "work", "--", "echo there; sleep 100")
        equal(p.stdout.readline(), b"there\n", "first line")
        kill_broker(host)
        equal(p.wait(20), 125, "exit status")
        expect(b"lost" in p.communicate()[1], "says why")
        until(lambda: host.sh("work", "exit 7").code == 7, "calls work again")


def leftovers(host, boxes, groups):
    """What a dead host's qubes still hold; empty when all is clean."""
    found = [f"process {p}" for p in boxes if not gone(p)]
    root = cgroup_root()
    found += [f"group {g}" for g in groups if root and os.path.exists(root + g)]
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
        found += [
            f"mount {line.split()[4]}"
            for line in f
            if line.split()[4].startswith(str(host.dir)) and "/pools/" not in line
        ]
    pool = host.state / "pools/default"
    found += [
        f"in {d}: {os.listdir(pool / d)}" for d in ("run", "tmp", "trash") if os.listdir(pool / d)
    ]
    return found


def deaf(path):
    """A helper that was just being started when qubed died may hold its socket for a moment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        return s.connect_ex(str(path)) != 0


def kill_qubed(host):
    """Kills it as a crash does and starts another on the same folders."""
    left = host.traces()
    os.kill(host.pid, signal.SIGKILL)
    host.daemon.wait(10)
    host.daemon = None
    until(lambda: deaf(host.socket), "nobody listens")
    host.start()
    return left["processes"], left["cgroups"]


def settled(host, boxes, groups):
    """Nothing is left of what a killed qubed had run."""
    try:
        until(lambda: not leftovers(host, boxes, groups), "all is clean")
    except AssertionError:
        raise AssertionError(f"left: {leftovers(host, boxes, groups)}") from None


def test_a_killed_qubed_comes_back_to_what_runs_and_then_to_a_clean_host():
    with Host() as host:
        furnish(host)
        host.create("dvm", "-p", "template_for_dispvms=True")
        host.ok("prefs", "work", "label", "purple")
        # One that no client holds: what `run --disposable` makes goes with its client.
        disposable = host.ok("create", "--disposable=dvm").text
        keeper = host.spawn("run", disposable, "--", "uname -n; sleep 100")
        equal(keeper.stdout.readline().decode().strip(), disposable, "its name")
        boxes, groups = kill_qubed(host)
        keeper.communicate(timeout=20)
        expect(keeper.returncode != 0, "a lost call is no success")
        qubes = host.qubes()
        equal(sorted(qubes), sorted(["base", "dom0", "dvm", "vault", "work", disposable]), "qubes")
        equal(
            {n: q["state"] for n, q in qubes.items() if n in ("vault", "work", disposable)},
            {"vault": "Running", "work": "Running", disposable: "Running"},
            "states",
        )
        equal(qubes["work"]["label"], "purple", "label")
        works(host)
        host.ok("kill", disposable)
        host.ok("shutdown", "work", "vault")
        settled(host, boxes, groups)
        expect(disposable not in host.qubes(), "the disposable is gone")
        works(host)


def test_a_paused_qube_outlives_its_host_paused():
    with Host() as host:
        furnish(host)
        host.ok("pause", "work")
        boxes, groups = kill_qubed(host)
        equal(host.state_of("work"), "Paused", "state")
        host.ok("unpause", "work")
        until(lambda: host.sh("work", "exit 7").code == 7, "it answers")
        works(host)
        host.ok("pause", "work")
        kill_qubed(host)
        host.ok("kill", "work")
        host.ok("shutdown", "vault")
        settled(host, boxes, groups)
        works(host)


def test_qubed_killed_again_and_again_in_the_middle_of_work():
    """At whatever instant: what is defined afterwards starts, and the rest is not there at all."""
    with Host() as host:
        furnish(host)
        end = threading.Event()

        def busy():
            n = 0
            while not end.is_set():
                n += 1
                for args in (
                    ("create", f"new{n}", "--template", "base"),
                    ("start", f"new{n}"),
                    ("prefs", "work", "label", ("red", "blue")[n % 2]),
                    ("kill", f"new{n}"),
                    ("rm", f"new{n}"),
                ):
                    try:
                        host.qube(*args, timeout=20)
                    except (OSError, subprocess.TimeoutExpired):
                        pass

        t = threading.Thread(target=busy)
        t.start()
        try:
            for i in range(8):
                time.sleep(0.03 + 0.023 * i)
                boxes, groups = kill_qubed(host)
        finally:
            end.set()
            t.join(60)
        expect(host.ok("prefs", "--json", "work", "label").out, "the label is readable")
        for name, q in host.qubes().items():
            if name.startswith("new"):
                until(lambda n=name: host.state_of(n) in ("Halted", "Running"), "it is settled")
                equal(host.sh(name, "exit 9").code, 9, f"{name} {q} starts")
                host.ok("kill", name)
                host.ok("rm", name)
        works(host)
        host.ok("shutdown", "work", "vault")
        until(lambda: not leftovers(host, boxes, groups), "all is clean")
        equal(
            sorted(p.stem for p in (host.state / "qubes").glob("*.json")),
            ["base", "vault", "work"],
            "files of qubes",
        )
        volumes = host.state / "pools/default/volumes"
        equal(sorted(p.name for p in volumes.iterdir()), ["base", "vault", "work"], "volumes")


def test_writes_of_a_template_are_kept_when_qubed_is_killed_while_it_runs():
    with Host() as host:
        host.ok("clone", "base", "tpl")
        host.ok("create", "app", "--template", "tpl")
        host.sh_ok("tpl", "echo a >/etc/a", "root")
        # Its box too: it would be adopted.
        box = host.box("tpl")
        os.kill(host.pid, signal.SIGKILL)
        os.kill(box, signal.SIGKILL)
        host.daemon.wait(10)
        until(lambda: gone(box), "the box is gone")
        host.daemon = None
        host.start()
        r = host.sh("app", "cat /etc/a")
        equal(r.code, 1, "an uncommitted write is seen by another")
        host.ok("shutdown", "app")
        r = host.sh_ok("tpl", "echo b >/etc/b; cat /etc/hostname >/dev/null", "root")
        host.ok("shutdown", "tpl")
        equal(host.sh_ok("app", "cat /etc/b").text, "b", "the next commit")


def test_qubed_ends_in_order_and_takes_its_qubes_along():
    with Host() as host:
        furnish(host)
        host.sh_ok(
            "work",
            "(trap 'echo bye >/home/user/bye; exit' TERM; while :; do sleep 0.05; done)"
            " >/dev/null 2>&1 &",
        )
        seen = host.traces()
        broker = host.broker()
        equal(host.stop(), 0, "exit status")
        equal((host.home("work") / "bye").read_text(), "bye\n", "what a process wrote at its end")
        until(
            lambda: gone(broker) and all(gone(p) for p in seen["processes"]),
            "all processes are gone",
        )
        equal(
            [g for g in seen["cgroups"] if os.path.exists((cgroup_root() or "/none") + g)],
            [],
            "groups",
        )
        host.start()
        works(host)
        equal(children(os.getpid()).count(broker), 0, "the old broker")


main(globals())
