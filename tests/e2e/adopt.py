#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""qubed dies or is replaced, and the qubes run on: the next one adopts them, or cleans up."""

import json
import os
import signal
import subprocess
import time

from harness import (
    Host,
    cgroup_root,
    children,
    command_line,
    equal,
    expect,
    gone,
    main,
    nothing_left,
    until,
)

RPC = "/run/qube/guest/qube-rpc"
ECHO = "#!/bin/sh\nexec cat\n"
POLICY = "demo.Echo * work vault allow\ndemo.Echo * work @dispvm:dvm allow\n"
HASH = """#!/usr/bin/python3
import hashlib, os
h = hashlib.sha256()
n = 0
os.write(1, b"ready\\n")
while True:
    data = os.read(0, 1 << 18)
    if not data:
        break
    h.update(data)
    n += len(data)
os.write(1, b"%d %s\\n" % (n, h.hexdigest().encode()))
"""
# Writes until a file says enough.
SOURCE = """
import hashlib, json, os, subprocess
p = subprocess.Popen(["/run/qube/guest/qube-rpc", "vault", "demo.Echo"], stdin=subprocess.PIPE,
                     stdout=subprocess.PIPE, bufsize=0)
p.stdout.readline()
open("ready", "w").close()
h = hashlib.sha256()
sent = 0
while not os.path.exists("enough") or sent < 64 << 20:
    piece = os.urandom(1 << 18)
    h.update(piece)
    at = 0
    while at < len(piece):
        at += p.stdin.write(memoryview(piece)[at:])
    sent += len(piece)
    open("sent", "w").write(str(sent))
p.stdin.close()
answer = p.stdout.read().split()
p.wait()
with open("result.new", "w") as f:
    json.dump({"sent": h.hexdigest(), "got": answer[1].decode(), "bytes": int(answer[0]),
               "all": sent, "code": p.returncode}, f)
os.rename("result.new", "result")
"""


def kill_qubed(host):
    os.kill(host.pid, signal.SIGKILL)
    host.daemon.wait(10)
    host.daemon = None


def furnish(host, service=ECHO):
    host.policy(POLICY)
    host.create("work")
    host.create("vault")
    host.service("vault", "demo.Echo", service)
    host.sh_ok("work", "echo kept >/home/user/kept")


def state(host, name, want):
    until(lambda: host.state_of(name) == want, f"{name} is {want}, not {host.state_of(name)}")


def threat_34_running_qubes_are_adopted_with_their_calls():
    with Host() as host:
        clean = host.traces()
        host.ok("clone", "base", "tpl")
        furnish(host, HASH)
        host.create("sleeper")
        host.ok("start", "sleeper")
        host.ok("pause", "sleeper")
        host.sh_ok("tpl", "echo a >/etc/adopted", "root")
        host.sh_ok("work", "cat >source.py", data=SOURCE.encode())
        host.ok("run", "--detach", "work", "--", "exec python3 source.py")
        home = host.home("work")
        until((home / "ready").exists, "the stream stands")
        before = host.boxes()
        equal(sorted(before), ["sleeper", "tpl", "vault", "work"], "boxes")
        kill_qubed(host)
        sent = int((home / "sent").read_text() or 0)
        until(lambda: int((home / "sent").read_text() or 0) > sent, "the stream goes on alone")
        host.start()
        expect("4 running qubes were adopted" in host.log(), "the log counts them")
        equal(host.boxes(), before, "boxes")
        qubes = host.qubes()
        equal({qubes[n]["state"] for n in ("tpl", "vault", "work")}, {"Running"}, "states")
        equal(qubes["sleeper"]["state"], "Paused", "state of the paused one")
        equal(host.sh("work", "exit 7").code, 7, "exit status")
        equal(host.sh_ok("work", "cat kept").out, b"kept\n", "its home")
        (home / "enough").touch()
        r = until(
            lambda: (home / "result").exists() and json.loads((home / "result").read_text()),
            "the stream ends",
            60,
        )
        equal((r["code"], r["bytes"], r["got"]), (0, r["all"], r["sent"]), "stream")
        host.ok("unpause", "sleeper")
        until(lambda: host.sh("sleeper", "exit 3").code == 3, "the paused one answers")
        host.ok("shutdown", "tpl")
        host.ok("create", "app", "--template", "tpl")
        equal(host.sh_ok("app", "cat /etc/adopted").text, "a", "what the template committed")
        host.ok("shutdown", "work", "vault", "sleeper", "app")
        for name in ("app", "tpl", "sleeper", "work", "vault"):
            host.ok("rm", name)
        logs = {f for f in host.traces()["files"] if "/run/log" in f}
        clean["files"] |= logs
        clean["processes"].add(host.broker())
        nothing_left(host, clean)
        equal(os.listdir(host.run_dir / "boxes"), [], "run directories")


def threat_34_disposables_of_calls_live_as_long_as_their_calls():
    with Host() as host:
        furnish(host)
        host.create("dvm", "-p", "template_for_dispvms=True")
        host.service("dvm", "demo.Echo", ECHO)
        host.ok("shutdown", "dvm")
        host.ok(
            "run",
            "--detach",
            "work",
            "--",
            """
            (echo one; while [ ! -e go ]; do sleep 0.02; done; echo two) |
            /run/qube/guest/qube-rpc @dispvm:dvm demo.Echo >got; echo $? >code""",
        )
        home = host.home("work")
        until(lambda: (home / "got").exists() and (home / "got").read_text(), "the call stands")
        disposable = next(n for n in host.qubes() if n.startswith("disp"))
        for how in ("broker", "qubed"):
            if how == "broker":
                pid = host.broker()
                os.kill(pid, signal.SIGKILL)
                until(lambda p=pid: host.broker() not in (None, p), "there is a new broker")
            else:
                kill_qubed(host)
                host.start()
            until(lambda: host.sh("work", "exit 7").code == 7, "calls work again")
            state(host, disposable, "Running")
        (home / "go").touch()
        until(lambda: (home / "code").exists() and (home / "code").read_text(), "the call's end")
        equal(((home / "code").read_text(), (home / "got").read_text()), ("0\n", "one\ntwo\n"), "")
        until(lambda: disposable not in host.qubes(), "the disposable goes with its call")


def threat_34_a_disposable_whose_call_ended_meanwhile_goes():
    with Host() as host:
        furnish(host)
        host.create("dvm", "-p", "template_for_dispvms=True")
        host.service("dvm", "demo.Echo", ECHO)
        host.ok("shutdown", "dvm")
        host.ok(
            "run",
            "--detach",
            "work",
            "--",
            """
            (echo one; while [ ! -e go ]; do sleep 0.02; done) |
            /run/qube/guest/qube-rpc @dispvm:dvm demo.Echo >got; echo $? >code""",
        )
        home = host.home("work")
        until(lambda: (home / "got").exists() and (home / "got").read_text(), "the call stands")
        disposable = next(n for n in host.qubes() if n.startswith("disp"))
        kill_qubed(host)
        (home / "go").touch()
        until(lambda: (home / "code").exists() and (home / "code").read_text(), "the call's end")
        host.start()
        until(lambda: disposable not in host.qubes(), "the disposable goes")
        equal(host.state_of("work"), "Running", "the caller")


def test_qubes_are_kept_when_qubed_is_told_so():
    with Host() as host:
        args = host.daemon_args
        host.stop()
        host.daemon_args = lambda: [*args(), "--keep-qubes"]
        host.start()
        furnish(host)
        before = host.boxes()
        host.ok("pause", "vault")
        equal(host.stop(), 0, "exit status")
        equal(host.boxes(), before, "they run on")
        host.daemon_args = args
        host.start()
        equal(host.boxes(), before, "they are adopted")
        equal(host.state_of("vault"), "Paused", "state")
        equal(host.sh("work", "exit 7").code, 7, "exit status")
        equal(host.stop(), 0, "exit status")
        until(lambda: all(gone(p) for p in before.values()), "without the option they end")


def test_a_qube_that_was_stopping_is_stopped():
    with Host() as host:
        furnish(host)
        host.sh_ok(
            "work",
            "(trap '' TERM; while :; do sleep 0.05; done) >/dev/null 2>&1 &",
        )
        p = host.spawn("shutdown", "work")
        until(lambda: host.state_of("work") == "Halting", "it stops")
        kill_qubed(host)
        p.communicate(timeout=20)
        host.start()
        state(host, "work", "Halted")
        equal(host.sh_ok("work", "cat kept").out, b"kept\n", "its home")


def record_of(host, name):
    return host.run_dir / "boxes" / name / "record"


def adopted_none(host, box, word):
    """The next qubed ends the box, says why, and all is as if it had not been."""
    group = None
    for line in open(f"/proc/{box}/cgroup", encoding="utf-8"):
        if line.startswith("0::"):
            group = line[3:].strip()
    at = len(host.log())
    host.start()
    until(lambda: gone(box), "the box is ended")
    expect(word in host.log()[at:], f"the log says why: {host.log()[at:]}")
    expect(not (host.run_dir / "boxes" / "work").exists(), "its run directory is gone")
    root = cgroup_root()
    expect(not root or not os.path.exists(root + group), "its group is gone")


def threat_34_a_damaged_record_means_an_end():
    with Host() as host:
        furnish(host)
        for harm in (
            lambda t: t[: len(t) // 2],
            lambda t: t + "more 1\n",
            lambda t: "",
            lambda t: t.replace("name work", "name vault"),
            lambda t: t.replace("qube-run 1", "qube-run 9"),
        ):
            host.ok("start", "work")
            box = host.box("work")
            kill_qubed(host)
            path = record_of(host, "work")
            path.write_text(harm(path.read_text()))
            adopted_none(host, box, "'work', which a host before this one left, is ended")
            equal(host.state_of("work"), "Halted", "state")
            equal(host.state_of("vault"), "Running", "another one")
        equal(host.sh_ok("work", "cat kept").out, b"kept\n", "its home")


def threat_34_a_process_that_took_the_number_is_left_alone():
    with Host() as host:
        furnish(host)
        box = host.box("work")
        with subprocess.Popen(["sleep", "100"]) as other:
            kill_qubed(host)
            path = record_of(host, "work")
            path.write_text(path.read_text().replace(f"pid {box}\n", f"pid {other.pid}\n"))
            adopted_none(host, box, "is another one now")
            equal(other.poll(), None, "the other process lives")
            other.kill()
        equal(host.sh_ok("work", "cat kept").out, b"kept\n", "its home")


def threat_34_a_qube_that_was_removed_meanwhile_is_ended():
    with Host() as host:
        furnish(host)
        box = host.box("work")
        kill_qubed(host)
        (host.state / "qubes/work.json").unlink()
        adopted_none(host, box, "is not defined any more")
        expect("work" not in host.qubes(), "it is not there")
        expect(not (host.state / "pools/default/volumes/work").exists(), "nor its volumes")


def test_a_log_is_read_on_and_a_dead_host_holds_nobody_up():
    with Host() as host:
        furnish(host)
        kill_qubed(host)
        box = host.box("work")
        # The agent's own words fill the pipe; more than it holds.
        out = f"/proc/{box}/fd/2"
        with open(out, "wb", buffering=0) as pipe:
            os.set_blocking(pipe.fileno(), False)
            pipe.write(b"said while nobody listened\n")
            for _ in range(3000):
                try:
                    if not pipe.write(b"x" * 63 + b"\n"):
                        break
                except BlockingIOError:
                    break
        host.start()
        until(lambda: "said while nobody listened" in host.ok("logs", "work").text, "the log")
        equal(host.sh("work", "exit 7").code, 7, "exit status")


def agent_of(host, name):
    return next(p for p in children(host.box(name)) if command_line(p)[:1] == [b"qube-agent"])


def test_a_call_waits_for_the_agent_of_an_adopted_qube():
    with Host() as host:
        furnish(host)
        host.ok("start", "vault")
        agent = agent_of(host, "vault")
        kill_qubed(host)
        os.kill(agent, signal.SIGSTOP)
        host.start()
        calls = [
            host.spawn("run", "vault", "--", "echo answer"),
            host.spawn("run", "work", "--", f"echo answer | {RPC} vault demo.Echo"),
        ]
        time.sleep(1)
        for call in calls:
            equal(call.poll(), None, "it waits")
        os.kill(agent, signal.SIGCONT)
        for call in calls:
            equal(call.communicate(timeout=30), (b"answer\n", b""), "what it says")
            equal(call.returncode, 0, "exit status")


def test_a_call_does_not_wait_for_an_agent_for_ever():
    with Host() as host:
        furnish(host)
        host.ok("prefs", "vault", "qrexec_timeout", "1")
        host.ok("start", "vault")
        agent = agent_of(host, "vault")
        kill_qubed(host)
        os.kill(agent, signal.SIGSTOP)
        host.start()
        r = host.sh("vault", "echo answer")
        expect(r.code == 125 and b"'vault' has no agent that answers" in r.err, f"a call: {r}")
        r = host.call("work", "vault", "demo.Echo", b"x")
        equal(r.code, 126, "a call between two")
        os.kill(agent, signal.SIGCONT)
        equal(host.sh_ok("vault", "echo answer").out, b"answer\n", "a call, later")


def test_adoption_again_and_again():
    with Host() as host:
        furnish(host)
        before = host.boxes()
        for i in range(6):
            time.sleep(0.02 * i)
            kill_qubed(host)
            host.start()
            equal(host.boxes(), before, "boxes")
        equal(host.call("work", "vault", "demo.Echo", b"x").out, b"x", "calls work")
        host.ok("shutdown", "work", "vault")
        equal(os.listdir(host.run_dir / "boxes"), [], "run directories")


main(globals())
