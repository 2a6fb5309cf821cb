#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What qubes are for, on whichever driver: one template, two qubes and a disposable; calls between
them, allowed, denied and without the host; what is kept of a qube and what is thrown away; its life
from start to kill, and beyond the host's. QUBE_E2E_DRIVER names the driver. The scripts need a
shell with the usual small programs, such as busybox has."""

import contextlib
import json
import os
import re
import signal
import time

import harness
from harness import Skip, equal, expect, until

# Of each qube: one that fits a small machine, and boots fast where its processor is emulated.
PROPERTIES = ("memory=200", "maxmem=400", "vcpus=1", "virt_mode=pv")
RPC = "/run/qube/guest/qube-rpc"
SIZE = 3 << 20
POLICY = """# line 1
demo.Echo  *  app   vault   allow
demo.Echo  *  app   @anyvm  deny
demo.Sink  *  app   vault   allow
"""
# Waits until the call stands, then for the host to be frozen; says when it sent and was done.
SOURCE = f"""cd /tmp && rm -f answer times
sent() {{
    until grep -q ready answer 2>/dev/null; do sleep 0.1; done
    sleep {{pause}}
    cut -d' ' -f1 /proc/uptime >begin
    head -c {SIZE} /dev/zero
}}
sent | {RPC} vault demo.Sink >answer
echo "$(cat begin) $(cut -d' ' -f1 /proc/uptime) $(tail -n 1 answer)" >times.new
mv times.new times
"""


def setup(host):
    host.policy(POLICY)
    if "QUBE_E2E_KERNELS" in os.environ:
        host.ok("admin", "--payload", "lab", "admin.property.Set", "dom0", "default_kernel")
    host.ok("clone", "base", "tpl")
    how = [word for p in PROPERTIES for word in ("--property", p)]
    for name in ("app", "vault", "dvm"):
        host.ok("create", name, "--template", "tpl", *how)
    host.ok("prefs", "dvm", "template_for_dispvms", "true")


def test_two_qubes_of_one_template_start(host):
    for name in ("app", "vault"):
        equal(host.sh_ok(name, "id -un; cd; pwd").text, "user\n/home/user", name)
    driver = os.environ.get("QUBE_E2E_DRIVER", "local")
    level = {"local": "kernel-shared", "xen": "hypervisor"}[driver]
    equal(host.qubes()["app"]["isolation"], level, "isolation")


def test_the_host_calls_and_gets_output_and_exit_code(host):
    data = os.urandom(300_000)
    r = host.sh("app", "cat; echo err >&2; exit 7", data=data)
    equal((r.code, r.out == data, r.err), (7, True, b"err\n"), "call from the host")


def test_a_call_is_allowed_and_one_denied_by_file_and_line(host):
    host.service("vault", "demo.Echo", "#!/bin/sh\nexec cat\n")
    data = os.urandom(200_000)
    r = host.call("app", "vault", "demo.Echo", data)
    equal((r.code, r.out == data), (0, True), f"allowed call: {r.why}")
    r = host.call("app", "dvm", "demo.Echo")
    equal((r.code, r.out), (126, b""), "denied call")
    until(
        lambda: re.search(r"denied: app -> dvm: demo.Echo by \S*30-user.policy:3", host.log()),
        "the line in the log",
    )


@contextlib.contextmanager
def frozen(host):
    """Everything of the host's that could touch a byte of a call."""
    mine = [host.pid]
    for pid in harness.children(host.pid):
        line = harness.command_line(pid)
        if line and os.path.basename(line[0]) in (b"qubed", b"qube-xl", b"qube-vchan"):
            mine.append(pid)
    for pid in mine:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(mine):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)


def test_the_data_of_a_call_does_not_pass_the_host(host):
    host.service("vault", "demo.Sink", "#!/bin/sh\necho ready\nexec wc -c\n")
    pause = int(3 * harness.SLOW)
    host.sh_ok("app", "cat >source", data=SOURCE.replace("{pause}", str(pause)).encode())
    host.ok("run", "--detach", "app", "--", "exec sh source")
    until(lambda: b"ready" in host.sh("app", "cat /tmp/answer").out, "the call stands")
    with frozen(host):
        begin = time.monotonic()
        time.sleep(2 * pause + 4 * harness.SLOW)
        thawed = time.monotonic()
    until(lambda: host.sh("app", "test -e /tmp/times").code == 0, "the stream is over")
    r = host.sh_ok("app", "cat /tmp/times; cut -d' ' -f1 /proc/uptime")
    since = time.monotonic()
    first, last, count, now = r.text.split()
    equal(int(count), SIZE, "bytes")
    age = float(now) - float(last)
    expect(age > since - thawed, f"it ended {age} s ago, and the host was back {since - thawed} s")
    age = float(now) - float(first)
    expect(age < since - begin, f"it began {age} s ago, the host was frozen {since - begin} s ago")


def test_home_is_kept_and_the_rest_is_thrown_away(host):
    host.sh_ok("app", "echo r >/etc/mark && echo t >/tmp/mark && echo l >/usr/local/mark", "root")
    host.sh_ok("app", "echo h >/home/user/mark")
    host.ok("shutdown", "app", timeout=180)
    r = host.sh("app", "cat /etc/mark; cat /tmp/mark; cat /home/user/mark; cat /usr/local/mark")
    equal(r.out, b"h\nl\n", "what is left after a restart")
    equal(host.sh("vault", "cat /etc/mark").code, 1, "seen by another qube of the template")


def test_a_disposable_has_the_home_and_leaves_nothing(host):
    host.sh_ok("dvm", "echo doc >/home/user/doc")
    host.ok("shutdown", "dvm", timeout=180)
    before = set(host.qubes())
    r = host.qube("run", "--disposable=dvm", "--", "cat /home/user/doc; id -un; exit 11",
                  timeout=180)
    equal((r.code, r.text), (11, "doc\nuser"), f"run --disposable: {r}")
    until(lambda: set(host.qubes()) == before, "it is gone", 60)


def test_it_is_paused_and_goes_on(host):
    host.ok("run", "--detach", "app", "--",
            "while :; do echo x >>/tmp/ticks; sleep 0.1; done")
    count = "wc -l </tmp/ticks"
    until(lambda: host.sh("app", count).code == 0, "it ticks")
    before = int(host.sh_ok("app", count).text)
    host.ok("pause", "app")
    equal(host.state_of("app"), "Paused", "state")
    time.sleep(3 * harness.SLOW)
    host.ok("unpause", "app")
    equal(host.state_of("app"), "Running", "state")
    after = int(host.sh_ok("app", count).text)
    expect(after - before < 30 * harness.SLOW, f"{after - before} ticks while it was paused")
    until(lambda: int(host.sh_ok("app", count).text) > after, "it ticks again")


def test_its_share_of_the_memory_follows_its_properties(host):
    if "memory" in host.qubes()["app"].get("unenforced", []):
        expect(os.environ.get("QUBE_E2E_DRIVER") != "xen", "a domain's memory is always enforced")
        raise Skip("this machine does not limit memory")

    def target():
        found = json.loads(host.ok("stats", "--json", "app").out)
        return found[0].get("target_bytes", 0) >> 20

    # It began with 200, uses some of that, and there is more.
    until(lambda: target() > 200, f"more than it began with: {target()}", 30)
    host.ok("features", "app", "memory-hotplug", "1")
    host.ok("prefs", "app", "maxmem", "220")
    until(lambda: 0 < target() <= 220, f"the target follows: {target()}", 30)


def test_it_is_killed(host):
    host.sh_ok("vault", "true")
    host.ok("kill", "vault")
    until(lambda: host.state_of("vault") == "Halted", "vault is gone", 60)
    equal(host.call("app", "vault", "demo.Echo", b"again").out, b"again", "and starts again")


def test_it_runs_on_when_the_host_is_killed(host):
    host.sh_ok("app", "echo here >/tmp/here")
    os.kill(host.pid, signal.SIGKILL)
    host.daemon.wait(10)
    host.start()
    equal(host.state_of("app"), "Running", "state")
    equal(host.sh_ok("app", "cat /tmp/here").text, "here", "it is the same one")
    equal(host.call("app", "vault", "demo.Echo", b"still").out, b"still", "a call")
    host.ok("shutdown", "app", timeout=180)
    host.ok("kill", "vault")


def test_all_of_it_is_removed(host):
    names = ["app", "vault", "dvm"]
    running = [n for n in names if host.state_of(n) != "Halted"]
    if running:
        host.ok("shutdown", *running, timeout=180)
    host.ok("rm", *names)
    host.ok("rm", "tpl")
    equal(set(host.qubes()), {"dom0", "base"}, "qubes")


harness.main(globals(), setup)
