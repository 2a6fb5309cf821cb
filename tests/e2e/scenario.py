#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A qube's life on any distribution's root: the same on the host's packages and on each of
tests/roots. QUBE_E2E_ROOT names the root; without it the template is that of all scenarios. The
scripts need sh, cat, echo, id, mkdir and chmod of a root, and no more."""

import os
import re

import harness
import roots
from harness import equal, nothing_left, until

ROOT = os.environ.get("QUBE_E2E_ROOT", "host")
BASE = "base" if ROOT == "host" else "foreign"
# What tells a root from the others: a command, what it prints, and who runs it.
MARKS = {
    "host": ("test -e /var/lib/dpkg/status && echo dpkg", "dpkg", "user"),
    "debian": ("apt-get --version >/dev/null && dpkg-query -W -f '${Package}' apt", "apt", "user"),
    "musl-busybox": ("whichlibc", "musl user", "user"),
    "rpm-managed": ("rpm -q qube-test-shell", "qube-test-shell-1-1.x86_64", "root"),
}
POLICY = """# line 1
demo.Echo  *  app   vault   allow
demo.Echo  *  app   @anyvm  deny
"""


def setup(host):
    if ROOT != "host":
        roots.put(host, ROOT, BASE)
    host.policy(POLICY)
    host.ok("clone", BASE, "tpl")
    for name in ("app", "vault"):
        host.ok("create", name, "--template", "tpl")
    host.ok("create", "dvm", "--template", "tpl")
    host.ok("prefs", "dvm", "template_for_dispvms", "true")


def test_it_starts_and_is_the_root_that_it_should_be(host):
    command, text, user = MARKS[ROOT]
    equal(host.sh_ok("app", command, user).text, text, command)


def test_the_user_is_there_with_a_home(host):
    equal(host.sh_ok("app", "id -un; id -u; cd; pwd").text, "user\n1000\n/home/user", "user")
    equal(host.sh_ok("app", "id -un; id -u", "root").text, "root\n0", "root")
    equal(host.sh("app", "true", "nobodyknown").code, 125, "a user that is not there")


def test_nothing_of_the_root_is_run_as_its_init(host):
    equal(host.sh_ok("app", "cat /proc/1/comm").text, "qube-box", "process 1")


def test_root_is_thrown_away_and_home_is_kept(host):
    host.sh_ok("app", "echo r >/etc/mark && echo t >/tmp/mark && echo l >/usr/local/mark", "root")
    host.sh_ok("app", "echo h >/home/user/mark")
    host.ok("shutdown", "app")
    r = host.sh("app", "cat /etc/mark; cat /tmp/mark; cat /home/user/mark; cat /usr/local/mark")
    equal(r.out, b"h\nl\n", "what is left after a restart")
    equal(host.sh_ok("app", "id -un").text, "user", "user after a restart")


def test_a_call_is_allowed_and_one_denied_by_file_and_line(host):
    host.service("vault", "demo.Echo", "#!/bin/sh\nexec cat\n")
    host.service("dvm", "demo.Echo", "#!/bin/sh\nexec cat\n")
    data = os.urandom(200_000)
    r = host.call("app", "vault", "demo.Echo", data)
    equal((r.code, r.out == data), (0, True), f"allowed call: {r.why}")
    r = host.call("app", "dvm", "demo.Echo")
    equal((r.code, r.out), (126, b""), "denied call")
    until(
        lambda: re.search(r"denied: app -> dvm: demo.Echo by \S*30-user.policy:3", host.log()),
        "the line in the log",
    )
    host.ok("shutdown", "dvm")


def test_a_disposable_has_the_home_and_leaves_nothing(host):
    host.sh_ok("dvm", "echo doc >/home/user/doc")
    host.ok("shutdown", "dvm")
    before = host.traces()
    r = host.qube("run", "--disposable=dvm", "--", "cat /home/user/doc; id -un; exit 11")
    equal((r.code, r.text), (11, "doc\nuser"), f"run --disposable: {r}")
    nothing_left(host, before)


def test_its_log_is_kept(host):
    host.sh("app", "kill -9 $QREXEC_AGENT_PID", "root")
    until(lambda: b"is started again" in host.ok("logs", "app").out, "qube logs has it")


def test_a_change_of_the_template_is_seen_after_a_restart(host):
    host.sh_ok("tpl", "echo changed >/etc/change && chmod 644 /etc/change", "root")
    host.ok("shutdown", "tpl")
    equal(host.sh("app", "cat /etc/change").code, 1, "seen by a qube that was started before")
    host.ok("shutdown", "app")
    equal(host.sh_ok("app", "cat /etc/change").text, "changed", "after the restart")


def test_a_user_s_number_that_another_has_is_left_to_it(host):
    passwd = "root:x:0:0::/root:/bin/sh\nother:x:1000:1000::/:/bin/sh"  # without an end of line
    host.sh_ok("tpl", "cat >/etc/passwd", "root", passwd.encode())
    host.ok("shutdown", "tpl", "app")
    r = host.sh("app", "true")
    equal(r.code, 125, f"a call as the user that cannot be: {r}")
    until(lambda: "no user user, and none can be added" in host.log(), "the line in the log")
    equal(host.sh_ok("app", "cat /etc/passwd", "root").out, passwd.encode(), "passwd")
    other = passwd.replace("1000:1000", "1234:1234")
    host.sh_ok("tpl", "cat >/etc/passwd", "root", other.encode())
    host.ok("shutdown", "tpl", "app")
    equal(host.sh_ok("app", "id -un; id -u").text, "user\n1000", "user beside another")
    host.sh_ok("tpl", "rm /etc/passwd /etc/group", "root")
    host.ok("shutdown", "tpl", "app")
    equal(host.sh_ok("app", "id -un; id -u; id -gn").text, "user\n1000\nuser", "without a file")
    equal(host.sh_ok("app", "id -un", "root").text, "root", "root without a file")


def test_all_of_it_is_removed(host):
    names = ["app", "vault", "dvm"]
    host.ok("shutdown", *[n for n in names if host.state_of(n) != "Halted"])
    host.ok("rm", *names)
    host.ok("rm", "tpl")
    equal(set(host.qubes()), {"dom0", "base", BASE}, "qubes")
    layers = host.state / "pools/default/layers"
    left = len({"base", BASE})
    until(lambda: len(list(layers.iterdir())) == left, "the changed layer is removed")


harness.main(globals(), setup)
