#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls: exit codes, input and output, terminals, many at once, disposables, targets
that are started."""

import os
import pty
import select
import subprocess
import threading
import time

from harness import equal, expect, main, nothing_left, until

RPC = "/run/qube/guest/qube-rpc"


def setup(host):
    host.policy("""
demo.Echo      *  work   vault        allow
demo.Exit      *  work   vault        allow
demo.Who       *  work   vault        allow
demo.Err       *  work   vault        allow
demo.Missing   *  work   vault        allow
demo.Names     *  work   vault        allow
demo.Plain     *  work   vault        allow
demo.Stay      *  work   dead         allow autostart=no
demo.Start     *  work   sleeper      allow
demo.Disp      *  work   @dispvm:dvm  allow
""")
    host.create("work")
    host.create("vault", "--label", "blue")
    host.create("sleeper")
    host.create("dead")
    host.create("dvm", "-p", "template_for_dispvms=True")
    host.ok("prefs", "work", "default_dispvm", "dvm")
    host.service("vault", "demo.Echo", "#!/bin/sh\nexec cat\n")
    host.service("vault", "demo.Exit", '#!/bin/sh\nexit "$1"\n')
    host.service("vault", "demo.Err", "#!/bin/sh\necho out; echo err >&2; exit 3\n")
    host.service("vault", "demo.Who", '#!/bin/sh\necho "$QREXEC_REMOTE_DOMAIN $1 $(id -un)"\n')
    host.sh_ok("vault", "echo 'not a program' >/usr/local/etc/qubes-rpc/demo.Plain", "root")
    host.service("sleeper", "demo.Start", "#!/bin/sh\necho awake\n")
    host.service("dvm", "demo.Disp", "#!/bin/sh\nuname -n; cat; exit 7\n")
    host.ok("shutdown", "dvm", "sleeper")


def test_exit_codes_arrive_by_run(host):
    for code in (0, 1, 2, 63, 100, 124, 125, 126, 127, 128, 130, 137, 200, 254, 255):
        equal(host.sh("work", f"exit {code}").code, code, "exit status of run")


def test_exit_codes_0_to_255_arrive_by_call(host):
    out = host.sh_ok(
        "work",
        "i=0; while [ $i -le 255 ]; do " + RPC + " vault demo.Exit+$i </dev/null; "
        "echo $?; i=$((i+1)); done",
        timeout=120,
    )
    equal([int(n) for n in out.text.split()], list(range(256)), "exit codes of 256 calls")


def test_death_by_signal_is_128_and_its_number(host):
    for number in (1, 2, 6, 9, 11, 15):
        equal(host.sh("work", f"kill -{number} $$").code, 128 + number, f"signal {number}")


def test_125_is_a_problem_126_a_refusal_127_no_such_service(host):
    equal(host.call("work", "vault", "demo.Plain").code, 125, "a service that is no program")
    equal(host.call("work", "vault", "demo.Other").code, 126, "no rule")
    equal(host.call("work", "vault", "demo.Missing").code, 127, "no such service")
    equal(host.qube("call", "vault", "demo.Missing").code, 127, "no such service, from the host")
    equal(host.sh("work", "/no/such/program").code, 127, "no such program")
    equal(host.sh("work", "true", user="nobody-here").code, 125, "no such user")


def test_a_target_without_autostart_is_not_started(host):
    equal(host.call("work", "dead", "demo.Stay").code, 126, "exit status")
    equal(host.state_of("dead"), "Halted", "state")


def test_a_halted_target_is_started_by_a_call(host):
    equal(host.state_of("sleeper"), "Halted", "state before")
    equal(host.call("work", "sleeper", "demo.Start").out, b"awake\n", "answer")
    equal(host.state_of("sleeper"), "Running", "state after")


def test_stdin_stdout_and_stderr_are_three(host):
    r = host.sh("work", "cat; echo problem >&2; exit 5", data=b"input\0\xff\n")
    equal((r.code, r.out, r.err), (5, b"input\0\xff\n", b"problem\n"), "run")
    r = host.qube("call", "vault", "demo.Err")
    equal((r.code, r.out, r.err), (3, b"out\n", b"err\n"), "call from the host")
    r = host.call("work", "vault", "demo.Err")
    equal((r.code, r.out, r.err), (3, b"out\n", b"err\n"), "call from a qube")


def test_the_three_can_be_opened_by_their_names(host):
    command = "cat /dev/stdin >/dev/stdout; echo err >/dev/stderr"
    for user in ("user", "root"):
        r = host.sh("work", command, user=user, data=b"in")
        equal((r.out, r.err, r.code), (b"in", b"err\n", 0), f"as {user}")
    for user in ("user", "root"):
        host.service("vault", "demo.Names", f"#!/bin/sh\n{command}\n")
        host.sh_ok(
            "vault",
            f"mkdir -p /etc/qubes/rpc-config && echo \"force-user = '{user}'\" "
            ">/etc/qubes/rpc-config/demo.Names",
            "root",
        )
        r = host.call("work", "vault", "demo.Names", data=b"in")
        equal((r.out, r.code), (b"in", 0), f"a service as {user}, {r.err}")


def test_an_end_of_input_reaches_the_command(host):
    equal(host.sh("work", "wc -c", data=b"x" * 100000).text, "100000", "bytes of input")


def test_a_command_that_reads_nothing_ends_all_the_same(host):
    equal(host.sh("work", "exit 4", data=b"x" * 4000000).code, 4, "exit status")


def test_a_megabyte_comes_back_unchanged(host):
    blob = os.urandom(1 << 20)
    expect(host.call("work", "vault", "demo.Echo", blob).out == blob, "the bytes differ")


def test_service_knows_its_caller_its_argument_and_its_user(host):
    equal(host.call("work", "vault", "demo.Who+some-thing").text, "work some-thing user", "answer")
    equal(host.qube("call", "vault", "demo.Who+x").text, "dom0 x user", "from the host")
    equal(host.qube("call", "--user", "root", "vault", "demo.Who+x").text, "dom0 x root", "as root")


def test_pty_is_a_terminal_of_its_own(host):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        host.command("run", "--pty", "work", "--", "tty && stty size; exit 9"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    out = b""
    end = time.monotonic() + 20
    while process.poll() is None or select.select([master], [], [], 0)[0]:
        expect(time.monotonic() < end, f"the terminal's call does not end: {out!r}")
        if select.select([master], [], [], 0.1)[0]:
            try:
                out += os.read(master, 4096)
            except OSError:
                break
    os.close(master)
    equal(process.wait(10), 9, f"exit status, after {out!r}")
    expect(b"/dev/pts/" in out, f"no terminal: {out!r}")


def test_a_detached_command_goes_on(host):
    host.ok("run", "--detach", "work", "--", "echo here >/home/user/detached")
    until(lambda: (host.home("work") / "detached").exists(), "the detached command's file")


def test_a_hundred_calls_at_once(host):
    results = []

    def one(i):
        results.append((i, host.call("work", "vault", "demo.Echo", b"%d" % i, timeout=120)))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(100)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    equal(len(results), 100, "answers")
    for i, r in results:
        equal((r.code, r.out), (0, b"%d" % i), "answer of one of a hundred")


def test_a_disposable_by_call_leaves_nothing_behind(host):
    host.sh_ok("work", "true")
    before = host.traces()
    caller = host.spawn("run", "work", "--", RPC + " @dispvm demo.Disp")
    caller.stdin.write(b"hello")
    caller.stdin.flush()
    name = caller.stdout.readline().decode().strip()
    during = host.traces()
    out, _ = caller.communicate(timeout=30)
    expect(name.startswith("disp"), f"name is {name!r}")
    equal((caller.returncode, out), (7, b"hello"), "answer")
    until(lambda: name not in host.qubes(), "the disposable is gone")
    nothing_left(host, before, during)


def test_a_disposable_by_run_leaves_nothing_behind(host):
    before = host.traces()
    r = host.qube(
        "run",
        "--disposable=dvm",
        "--",
        "uname -n; id -un; cat; touch /etc/x /home/user/x 2>&1" " || touch /home/user/x; exit 11",
        data=b"doc\n",
    )
    lines = r.text.splitlines()
    equal((r.code, lines[1:3]), (11, ["user", "doc"]), f"run --disposable: {r}")
    expect(lines[0].startswith("disp"), f"name is {lines[0]!r}")
    expect(lines[0] not in host.qubes(), "the disposable is still there")
    nothing_left(host, before)


def test_two_disposables_share_nothing(host):
    host.sh_ok("dvm", "echo mark >/home/user/from-template")
    host.ok("shutdown", "dvm")
    one = host.qube("run", "--disposable=dvm", "--", "cat from-template; echo 1 >left; ls")
    two = host.qube("run", "--disposable=dvm", "--", "cat from-template; ls")
    equal(one.text.splitlines()[:1], ["mark"], "the template's home")
    expect("left" in one.text and "left" not in two.text, f"shared: {two}")


main(globals(), setup)
