#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that freeze, flood, stop in the middle or never read, and what others notice of it."""

import json
import os
import pathlib
import signal
import time

from harness import children, command_line, equal, expect, main, status_of, until

RAW = (pathlib.Path(__file__).parent / "guest_raw.py").read_text()
# The bad one's own work uses processors that the good ones need; so a bound of its own, not 1.5.
RATIO = 6.0
FLOOR_MS = 150.0  # below it a ratio says nothing on a busy machine
CALLS = 150

MEASURE = RAW + """
import json, sys
times = []
for i in range(int(sys.argv[1])):
    begin = time.monotonic()
    out, code = raw_call(b"demo.Echo", sys.argv[2].encode(), data=b"ping")
    times.append((time.monotonic() - begin) * 1000)
    if (out, code) != (b"ping", 0):
        print(json.dumps([i, repr(out), code]))
        sys.exit(1)
print(json.dumps(sorted(times)))
"""


def setup(host):
    host.policy("""
demo.Echo      *  good  vault  allow
demo.Echo      *  bad   vault  allow
demo.Echo      *  bad   busy   allow
demo.Echo      *  good  busy   allow
demo.Flood     *  bad   vault  allow
demo.Late      *  bad   late   allow
admin.vm.List  *  bad   dom0   allow target=dom0
admin.vm.List  *  bad   @anyvm allow target=dom0
""")
    for name in ("good", "vault", "bad", "busy"):
        host.create(name)
    for name in ("vault", "busy"):
        host.service(name, "demo.Echo", "#!/bin/sh\nread -r x; printf '%s' \"$x\"\n")
    host.service("vault", "demo.Flood", "#!/bin/sh\nexec cat /dev/zero\n")
    host.sh_ok("good", "cat >measure.py", data=MEASURE.encode())
    host.sh_ok("bad", "true")
    latencies(host)  # warm
    host.calm = latencies(host)


def latencies(host, calls=CALLS, target="vault"):
    r = host.sh("good", f"exec python3 measure.py {calls} {target}", timeout=100)
    equal(r.code, 0, f"the good qube's calls: {r}")
    return json.loads(r.out)


def p99(times):
    return times[int(len(times) * 0.99)]


def others_are_well(host, what):
    now = latencies(host)
    print(
        f"     {what}: p99 {p99(now):.1f} ms, calm {p99(host.calm):.1f} ms; median "
        f"{now[len(now) // 2]:.1f} ms, calm {host.calm[len(host.calm) // 2]:.1f} ms"
    )
    bound = max(FLOOR_MS, RATIO * p99(host.calm))
    expect(
        p99(now) <= bound, f"{what}: p99 of the others is {p99(now):.1f} ms, at most {bound:.1f} ms"
    )
    begin = time.monotonic()
    host.ok("admin", "admin.vm.List")
    expect(
        time.monotonic() - begin < 2, f"{what}: a request takes {time.monotonic() - begin:.1f} s"
    )


class Attack:
    """A program in the bad qube, for as long as the block lasts."""

    def __init__(self, host, script, user="user"):
        self.host = host
        self.script = script
        self.user = user

    def __enter__(self):
        self.host.sh_ok(
            "bad",
            "rm -f /tmp/attack.*; cat >/tmp/attack.py",
            self.user,
            (RAW + self.script).encode(),
        )
        # A session of its own, so that the whole of it can be ended.
        self.host.ok(
            "run",
            "--detach",
            "--user",
            self.user,
            "bad",
            "--",
            "setsid python3 /tmp/attack.py >/tmp/attack.log 2>&1 & echo $! >/tmp/attack.pid; wait",
        )
        try:
            until(
                lambda: self.host.sh("bad", "test -e /tmp/attack.ready").code == 0, "it is on", 30
            )
        except AssertionError:
            self.__exit__(AssertionError)
            raise

    def __exit__(self, *exc):
        log = self.host.sh("bad", "cat /tmp/attack.log; kill -9 -$(cat /tmp/attack.pid)", "root")
        if exc[0]:
            print(f"     the attack says: {log}")


READY = "\nopen('/tmp/attack.ready', 'w').close()\n"


def bad_is_well_again(host):
    def echoed():
        r = host.sh("bad", "echo ping | /run/qube/guest/qube-rpc vault demo.Echo", timeout=20)
        return (r.code, r.out) == (0, b"ping")

    until(echoed, "the bad qube calls again", 20)


def threat_21_half_messages_on_the_trigger_socket(host):
    with Attack(
        host,
        """
whole = trigger(b"demo.Echo", b"vault")
kept = []
def half(n):
    try:
        s = connect()
        s.sendall(whole[:n])
        kept.append(s)
    except OSError:
        time.sleep(0.05)
for n in (0, 1, 7, 8, 9, 100, len(whole) - 1):
    for i in range(30):
        half(n)
"""
        + READY
        + """
time.sleep(100)
""",
    ):
        others_are_well(host, "half messages")
        equal(host.sh("bad", "exit 3").code, 3, "a call of the host into the bad one")
    bad_is_well_again(host)


FLOOD = """
import threading
def flood(data, n):
    while True:
        try:
            s = connect()
            s.sendall(data)
            if n:
                s.shutdown(socket.SHUT_WR)
                answer(s)
            s.close()
        except OSError:
            pass
kinds = {"refused": (trigger(b"no.Such", b"vault"), 1), "left": (trigger(b"demo.Echo", b"busy"), 0),
         "garbage": (os.urandom(4096), 1),
         "long": (trigger(b"no.Such+" + b"a" * 60000, b"x" * 63), 1)}
for data, n in (kinds[KIND],) * 2:
    threading.Thread(target=flood, args=(data, n), daemon=True).start()
"""


def flood(host, kind, also=None):
    begin = time.monotonic()
    size = (
        host.log_path.stat().st_size,
        memory(host.pid),
        memory(host.broker()),
        host.log().count("bad -> "),
    )
    with Attack(host, f"KIND = {kind!r}\n" + FLOOD + READY + "time.sleep(100)"):
        others_are_well(host, f"flood of {kind}")
        if also:
            also()
    grown = (memory(host.pid) - size[1]) + (memory(host.broker()) - size[2])
    print(
        f"     the log grew by {(host.log_path.stat().st_size - size[0]) >> 10} KiB,"
        f" memory by {grown} KiB"
    )
    expect(grown < 64 << 10, f"qubed and broker grew by {grown} KiB")
    lines = host.log().count("bad -> ") - size[3]
    expect(lines < 25 * (time.monotonic() - begin + 2), f"{lines} lines of the log are the guest's")
    bad_is_well_again(host)


def threat_21_a_flood_of_refused_requests(host):
    flood(host, "refused")


def threat_21_a_flood_of_long_requests(host):
    flood(host, "long")


def threat_21_a_flood_of_garbage(host):
    flood(host, "garbage")


def threat_21_a_flood_of_calls_that_are_left_alone(host):
    """One that may call fills its target; another's calls into it are slower, and never refused."""
    flood(host, "left", lambda: latencies(host, 20, "busy"))


def memory(pid):
    return int(status_of(pid)["VmRSS"].split()[0])


def threat_21_a_caller_that_never_reads(host):
    before = memory(host.pid) + memory(host.broker())
    with Attack(
        host,
        """
kept = []
for service, target in ((b"demo.Flood", b"vault"), (b"admin.vm.List", b"dom0")) * 20:
    s = connect()
    s.sendall(trigger(service, target))
    data, fds = answer(s)
    kept.append((s, fds))
    if len(fds) == 2:
        w = fds[1] if readable(fds[0]) else fds[0]
        os.write(w, struct.pack("<III", HELLO, 4, 3) + struct.pack("<II", STDIN, 0))
for i in range(100):    # and some that do not even take the answer
    s = connect()
    s.sendall(trigger(b"demo.Echo", b"vault"))
    kept.append((s, []))
""" + READY + "time.sleep(100)",
    ):
        others_are_well(host, "never reads")
        grown = memory(host.pid) + memory(host.broker()) - before
        expect(grown < 64 << 10, f"qubed and broker grew by {grown} KiB")
    bad_is_well_again(host)


def agent_of(host, name):
    return [p for p in children(host.box(name)) if command_line(p)[:1] == [b"qube-agent"]][0]


def threat_21_an_agent_that_stands_still(host):
    """Its root may stop its own agent: the host's calls wait, everybody else's do not."""
    agent = agent_of(host, "bad")
    host.ok("run", "--detach", "--user", "root", "bad", "--", "kill -STOP $QREXEC_AGENT_PID")
    until(lambda: status_of(agent)["State"].startswith("T"), "the agent stands still")
    waiting = [host.spawn("run", "bad", "--", "true") for _ in range(8)]
    try:
        others_are_well(host, "stopped agent")
        equal(host.sh("good", "exit 3").code, 3, "a call into another")
        for p in waiting:
            p.send_signal(signal.SIGINT)
        for p in waiting:
            equal(p.wait(20), 130, "an interrupted call into the stopped one")
    finally:
        for p in waiting:
            p.kill()
            p.communicate()
        os.kill(agent, signal.SIGCONT)
    bad_is_well_again(host)


def threat_21_a_stopped_agent_is_killed_with_its_qube(host):
    agent = agent_of(host, "bad")
    os.kill(agent, signal.SIGSTOP)
    host.ok("prefs", "bad", "shutdown_timeout", "1")
    r = host.qube("shutdown", "--or-kill", "bad", timeout=30)
    equal((r.code, host.state_of("bad")), (0, "Halted"), f"shutdown: {r}")
    host.ok("prefs", "bad", "--reset", "shutdown_timeout")
    (
        bad_is_well_again(host)
        if host.sh("bad", "true").code == 0
        else expect(False, "it starts again")
    )


def threat_21_a_frozen_target_does_not_hold_its_callers(host):
    host.create("late")
    host.service("late", "demo.Late", "#!/bin/sh\necho late\n")
    host.ok("pause", "late")
    with Attack(
        host,
        """
kept = []
for i in range(100):
    s = connect()
    s.sendall(trigger(b"demo.Late", b"late"))
    kept.append(s)
""" + READY + "time.sleep(100)",
    ):
        others_are_well(host, "calls into a paused qube")
    host.ok("unpause", "late")
    bad_is_well_again(host)
    host.ok("kill", "late")


def threat_21_a_host_s_reader_that_does_not_read_holds_nobody(host):
    """`qube run bad -- yes` whose output nobody takes."""
    before = memory(host.pid) + memory(host.broker())
    stuck = [host.spawn("run", "bad", "--", "exec cat /dev/zero") for _ in range(5)]
    try:
        time.sleep(0.5)
        others_are_well(host, "unread output")
        grown = memory(host.pid) + memory(host.broker()) - before
        expect(grown < 32 << 10, f"qubed and broker grew by {grown} KiB")
    finally:
        for p in stuck:
            p.kill()
            p.communicate()
    bad_is_well_again(host)


def threat_21_a_client_of_the_socket_that_stalls_holds_nobody(host):
    import socket

    kept = []
    for data in (b"", b"admin.vm.List", b"admin.vm.List+ dom0 name dom0\0", b"\0" * 100):
        for _ in range(25):
            s = socket.socket(socket.AF_UNIX)
            s.connect(str(host.socket))
            s.sendall(data)
            kept.append(s)
    others_are_well(host, "stalled clients")
    for s in kept:
        s.close()


def threat_34_an_agent_that_dies_again_and_again_costs_its_own_qube(host):
    """Root of a box may kill its agent at will: it is started again, and in the end the
    box stops."""
    for _ in range(8):
        if host.state_of("bad") != "Running":
            break
        host.sh("bad", "kill -9 $QREXEC_AGENT_PID", "root", timeout=20)
        time.sleep(0.1)
    until(lambda: host.state_of("bad") in ("Halted", "Running"), "it has a state")
    others_are_well(host, "dying agent")
    equal(host.sh("bad", "exit 5", timeout=30).code, 5, "a call into it")


main(globals(), setup)
