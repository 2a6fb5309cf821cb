#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""qube update: a folder of packages as mirror for a Debian and for an rpm-managed template. What is
not signed starts nothing; what fails leaves its template as it was."""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios

import harness
import packages
import roots
from harness import equal, expect, main, until
from signing import keys

KEY = {}


def folder(host, name):
    path = host.dir / name
    path.mkdir()
    return path


def shared(name):
    return f"cat /usr/share/{name}"


def setup(host):
    why = packages.can()
    if why:
        print(f"SKIP: {why}")
        sys.exit(harness.SKIPPED)
    KEY.update(keys(host))
    roots.put(host, "debian", "deb")
    roots.put(host, "rpm-managed", "rpm")
    roots.put(host, "musl-busybox", "bare")
    old = folder(host, "old")
    for template, install, made in (
        ("deb", "dpkg -i", packages.deb(old, "demo", "1.0")),
        ("rpm", "rpm -U", packages.rpm(old, "demo", "1.0")),
    ):
        data = made.read_bytes()
        script = f"cat >/root/{made.name} && {install} /root/{made.name} && rm /root/{made.name}"
        host.sh_ok(template, script, "root", data)
        host.ok("shutdown", template)
        host.ok("create", f"app-{template}", "--template", template)


def update(host, path, *args, key="ours", **how):
    signed = ["--key", KEY[key]] if key else ["--unsigned"]
    return host.qube("update", "--from", path, *signed, *args, **how)


def results(r):
    return {t["name"]: t for t in json.loads(r.out)["templates"]}


def revisions(host, name):
    text = (host.state / f"pools/default/volumes/{name}/root.vol").read_text()
    return text.count("revision ")


def states(host):
    return {n: (host.state_of(n), revisions(host, n)) for n in ("deb", "rpm")}


def good_folder(host, name, version):
    path = folder(host, name)
    packages.deb(path, "demo", version)
    packages.rpm(path, "demo", version)
    packages.deb(path, "stranger", "3")  # not installed: no business of anybody
    packages.index(host, path)
    return path


def threat_26_what_is_not_signed_starts_nothing(host):
    good = good_folder(host, "signed", "2.0")
    before = states(host)
    mark = len(host.log())

    def bad(name, code, word, change, key="ours"):
        path = host.dir / f"bad-{name}"
        shutil.copytree(good, path)
        change(path)
        r = update(host, path, "deb", key=key)
        equal((r.code, r.out), (code, b""), f"{name}: {r}")
        expect(word in r.why, f"{name}: '{word}' is not in {r.why!r}")
        shutil.rmtree(path)

    def append(name, data):
        def change(path):
            with open(path / name, "ab") as f:
                f.write(data)

        return change

    def flip(path):
        data = bytearray((path / "demo_2.0_all.deb").read_bytes())
        data[-1] ^= 1
        (path / "demo_2.0_all.deb").write_bytes(data)

    def swap(path):
        shutil.copy(path / "stranger_3_all.deb", path / "demo_2.0_all.deb")

    def resign(path):
        packages.index(host, path, "theirs")

    def link(path):
        (path / "demo_2.0_all.deb").unlink()
        (path / "demo_2.0_all.deb").symlink_to(good / "demo_2.0_all.deb")

    sums, sig = "SHA256SUMS", "SHA256SUMS.minisig"
    bad("flipped", 126, "is not the file", flip)
    bad("longer", 126, "is not the file", append("demo_2.0_all.deb", b"x"))
    bad("swapped", 126, "is not the file", swap)
    bad("more", 126, "does not list", lambda p: shutil.copy(p / "demo_2.0_all.deb", p / "x.deb"))
    bad("fewer", 1, "No such file", lambda p: (p / "demo_2.0_all.deb").unlink())
    bad("link", 1, "cannot open", link)
    bad("index", 126, "not one of this file", append(sums, b"0" * 64 + b"  x.deb\n"))
    bad("signature", 126, "no signature of minisign", append(sig, b"more\n"))
    bad("no-signature", 126, "not signed", lambda p: (p / sig).unlink())
    bad("no-index", 126, "not signed", lambda p: (p / sums).unlink())
    bad("foreign", 126, "another key", resign)
    bad("other-key", 126, "another key", lambda p: None, key="theirs")
    equal(states(host), before, "the templates")
    equal(host.log()[mark:], "", "nothing was started")


def threat_26_an_index_that_is_signed_is_still_read_with_care(host):
    line = "0" * 64
    for text, word in (
        (f"{line}  ../x.deb\n", ":1 is no line"),
        (f"{line}  a.deb\n{line} a.deb\n", ":2 is no line"),
        (f"{line}  a.deb\n{line}  a.deb\n", "twice"),
        (f"{line}  a.deb", ":1 is no line"),
        ("", "no package"),
    ):
        path = folder(host, "odd")
        (path / "SHA256SUMS").write_text(text)
        packages.sign(host, path / "SHA256SUMS")
        r = update(host, path, "deb")
        equal(r.code, 1, f"{text!r}: {r}")
        expect(word in r.why, f"{text!r}: {r}")
        shutil.rmtree(path)


def test_what_is_asked_for_wrongly_is_told(host):
    path = host.dir / "signed"
    for args, code, word in (
        (["update", "deb"], 2, "--from is missing"),
        (["update", "deb", "--from", path], 2, "--unsigned"),
        (["update", "deb", "--from", path, "--unsigned", "--jobs", "0"], 2, "--jobs"),
        (["update", "deb", "deb", "--from", path, "--unsigned"], 2, "twice"),
        (["update", "app-deb", "--from", path, "--unsigned"], 1, "its template 'deb'"),
        (["update", "nobody", "--from", path, "--unsigned"], 1, "nobody"),
        (["update", "deb", "--from", host.dir / "none", "--unsigned"], 1, "cannot open"),
        (["update", "deb", "--from", folder(host, "empty"), "--unsigned"], 1, "no package"),
    ):
        r = host.qube(*args)
        equal(r.code, code, f"{args}: {r}")
        expect(word in r.why, f"{args}: {r}")


def test_both_are_updated_beside_each_other(host):
    host.ok("start", "app-deb", "app-rpm")
    r = update(host, host.dir / "signed", "deb", "rpm", "--json", timeout=120)
    equal(r.code, 0, f"update: {r}")
    got = results(r)
    for name, manager, versions in (
        ("deb", "apt", {"from": "1.0", "to": "2.0"}),
        ("rpm", "rpm", {"from": "1.0-1", "to": "2.0-1"}),
    ):
        t = got[name]
        equal((t["result"], t["status"], t["manager"]), ("updated", 0, manager), name)
        equal([p | {"name": "demo"} for p in t["packages"]], [{"name": "demo", **versions}], name)
        equal(host.state_of(name), "Halted", name)
        equal(host.sh_ok(f"app-{name}", shared("demo")).text, "1.0", "what runs has the old one")
    equal(json.loads(r.out)["restart_needed"], ["app-deb", "app-rpm"], "restart needed")
    expect("restart needed" in host.ok("ls", "app-deb").text, "ls tells it")
    host.ok("shutdown", "app-deb", "app-rpm")
    for name in ("deb", "rpm"):
        equal(host.sh_ok(f"app-{name}", shared("demo")).text, "2.0", "after its restart")
        gone = host.sh(f"app-{name}", "ls /var/cache/qube-update")
        expect(gone.code != 0, "the packages are not kept in the template")
    host.ok("shutdown", "app-deb", "app-rpm")
    equal({q["restart_needed"] for q in host.qubes().values()}, {False}, "none needs one now")


def test_nothing_newer_leaves_the_template_as_it_was(host):
    before = states(host)
    r = update(host, host.dir / "old", "deb", "rpm", "--json", "--trace", key=None)
    equal(r.code, 0, f"older ones: {r}")
    traces = [json.loads(line) for line in r.why.splitlines() if '"trace"' in line]
    for name in ("deb", "rpm"):
        last = [t["trace"][-1] for t in traces if t["name"] == name]
        equal([s["part_of"] or s["stage"] for s in last], ["up", "call", "kill"], f"of {name}")
    equal({(t["result"], t["status"]) for t in results(r).values()}, {("none", 100)}, "results")
    r = update(host, host.dir / "signed", "deb", "rpm", timeout=120)
    equal(r.code, 0, f"the same: {r}")
    expect("none" in r.text and "100" in r.text, r.text)
    equal(states(host), before, "the templates")


def test_a_script_that_fails_leaves_the_template_as_it_was_and_others_go_on(host):
    path = folder(host, "failing")
    packages.deb(path, "demo", "3.0", "echo oh no >&2; exit 3")
    packages.rpm(path, "demo", "3.0")
    packages.index(host, path)
    before = states(host)
    r = update(host, path, "--json", "deb", "rpm", timeout=120)
    equal(r.code, 1, f"update: {r}")
    got = results(r)
    equal((got["deb"]["result"], got["deb"]["status"]), ("failed", 100), f"deb: {r}")
    expect("apt ended with status 100" in got["deb"]["error"], f"the reason: {got}")
    expect("oh no" in got["deb"]["output"], f"what it said: {got}")
    equal(got["rpm"]["result"], "updated", f"rpm: {r}")
    equal(states(host)["deb"], before["deb"], "deb")
    equal(host.sh_ok("app-deb", shared("demo")).text, "2.0", "the old one")
    equal(host.sh_ok("app-rpm", shared("demo")).text, "3.0", "the new one")
    host.ok("shutdown", "app-deb", "app-rpm")
    expect(not (host.state / "pools/default/run/deb").exists(), "something is left")


def test_a_script_of_rpm_that_fails_is_a_failure_too(host):
    path = folder(host, "failing-rpm")
    packages.rpm(path, "demo", "4.0", "exit 7")
    before = states(host)
    r = update(host, path, "rpm", key=None)
    equal(r.code, 1, f"update: {r}")
    expect("scriptlet failed" in r.why, r.why)
    equal(states(host), before, "the templates")


def test_what_a_newer_package_needs_comes_along(host):
    path = folder(host, "needs")
    packages.deb(path, "demo", "4.0", fields="Depends: more\n")
    packages.deb(path, "more", "1")
    r = update(host, path, "deb", key=None)
    equal(r.code, 0, f"update: {r}")
    equal(host.sh_ok("app-deb", shared("demo") + " /usr/share/more").text, "4.0\n1", "both")
    host.ok("shutdown", "app-deb")
    path = folder(host, "lacks")
    packages.deb(path, "demo", "5.0", fields="Depends: nowhere\n")
    before = states(host)
    r = update(host, path, "deb", key=None)
    equal(r.code, 1, f"update: {r}")
    expect("demo 5.0 was not applied, 4.0 is installed" in r.why, r.why)
    equal(states(host), before, "the templates")


def test_what_is_no_package_is_a_failure(host):
    path = folder(host, "junk")
    (path / "demo_9_all.deb").write_text("no package")
    r = update(host, path, "deb", key=None)
    equal(r.code, 1, f"update: {r}")
    expect("demo_9_all.deb is no package" in r.why, r.why)


def test_dpkg_will_do_where_there_is_no_apt(host):
    host.ok("clone", "deb", "plain")
    host.sh_ok("plain", "rm /usr/bin/apt-get", "root")
    host.ok("shutdown", "plain")
    path = good_folder(host, "five", "5.0")
    packages.deb(path, "demo", "4.5")
    packages.index(host, path)
    r = update(host, path, "plain", "--json")
    equal(r.code, 0, f"update: {r}")
    equal(results(r)["plain"]["manager"], "dpkg", f"manager: {r}")
    equal(host.sh_ok("plain", shared("demo")).text, "5.0", "the newest of the folder")
    host.ok("kill", "plain")
    host.ok("rm", "plain")


def test_without_names_all_are_updated_but_one_that_runs_is_left_alone(host):
    path = good_folder(host, "six", "6.0")
    host.sh_ok("deb", "echo mine >/etc/mine", "root")
    r = update(host, path, "--json", "--jobs", "4")
    equal(r.code, 1, f"update: {r}")
    got = results(r)
    equal(set(got), {"base", "bare", "deb", "rpm"}, "all")
    expect("no package manager is here: looked for dpkg" in got["bare"]["error"], str(got))
    equal(got["bare"]["status"], 127, str(got))
    expect("it runs and was left alone" in got["deb"]["error"], str(got))
    equal(got["rpm"]["result"], "updated", str(got))
    equal(host.state_of("deb"), "Running", "it runs on")
    equal(host.sh_ok("deb", shared("demo") + " /etc/mine").text, "4.0\nmine", "its own")
    host.ok("shutdown", "deb")


def test_on_a_terminal_there_is_a_line_that_moves(host):
    path = folder(host, "big")
    packages.deb(path, "big", "1", payload=os.urandom(40_000_000))
    packages.deb(path, "demo", "6.1")
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    p = host.spawn("update", "--from", path, "--unsigned", "deb", stderr=terminal)
    os.close(terminal)
    seen = b""
    while True:
        try:
            seen += os.read(screen, 65536)
        except OSError:  # nobody has the other end any more
            break
    out, _ = p.communicate(timeout=20)
    os.close(screen)
    equal(p.returncode, 0, f"{out!r} {seen!r}")
    percents = [int(n) for n in re.findall(rb"\rdeb: deliver (\d+) %\x1b\[K", seen)]
    expect(percents and percents == sorted(percents) and percents[-1] <= 100, f"{seen!r}")
    expect(b"qube: deb: install" in seen and seen.endswith(b"deb: updated\r\n"), f"{seen!r}")


def test_the_command_line_is_a_host_for_it_as_well(host):
    path = good_folder(host, "seven", "6.2")
    host.stop()
    args = ("--state-dir", host.state, "--run-dir", host.run_dir)
    done = subprocess.run(
        [host.bin / "qube", "update", "deb", "rpm", "--from", path, "--unsigned", "--embedded"]
        + [*args, "--policy-root", host.policy_root],
        capture_output=True,
        check=False,
        timeout=60,
    )
    host.start()
    equal(done.returncode, 0, f"{done}")
    for name in ("deb", "rpm"):
        equal(host.sh_ok(f"app-{name}", shared("demo")).text, "6.2", name)
        host.ok("shutdown", f"app-{name}")


def slow(host, name, version):
    path = folder(host, name)
    packages.deb(path, "demo", version, "touch /tmp/begun; sleep 60")
    p = host.spawn("update", "--from", path, "--unsigned", "deb")
    until(lambda: host.state_of("deb") == "Running", "it is started")
    until(lambda: host.sh("deb", "test -e /tmp/begun").code == 0, "its script runs")
    return p


def test_what_does_not_end_in_time_is_undone(host):
    path = folder(host, "endless")
    packages.deb(path, "demo", "6.9", "sleep 600")
    packages.rpm(path, "demo", "6.9")
    before = states(host)
    r = update(host, path, "deb", "rpm", "--json", "--timeout", "3", key=None)
    equal(r.code, 1, f"update: {r}")
    got = results(r)
    equal((got["deb"]["status"], got["deb"]["error"]), (124, "the time was up"), str(got))
    equal(got["rpm"]["result"], "updated", str(got))
    equal(states(host)["deb"], before["deb"], "deb")


def test_a_standalone_is_updated_too(host):
    host.ok("create", "alone", "--class", "StandaloneVM", "--template", "deb")
    path = good_folder(host, "alone-folder", "6.95")
    r = update(host, path, "alone")
    equal(r.code, 0, f"update: {r}")
    equal(host.sh_ok("alone", shared("demo")).text, "6.95", "after it")
    host.ok("shutdown", "alone")
    host.ok("rm", "alone")


def test_interrupted_it_undoes_what_it_began(host):
    before = states(host)
    p = slow(host, "slow", "7.0")
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=20)
    equal(p.returncode, 130, f"{out!r} {err!r}")
    expect(b"interrupted" in err, err)
    equal(states(host), before, "the templates")


def test_killed_it_leaves_a_template_that_keeps_nothing(host):
    before = states(host)
    p = slow(host, "slower", "8.0")
    p.kill()
    p.wait()
    equal(host.state_of("deb"), "Running", "nobody stopped it")
    host.ok("shutdown", "deb")
    equal(states(host), before, "the templates")


def threat_34_a_host_that_is_killed_meanwhile_keeps_nothing(host):
    before = states(host)
    p = slow(host, "slowest", "9.0")
    host.daemon.kill()
    host.daemon.wait(10)
    expect(p.wait(20) != 0, "it tells that the host is gone")
    host.start()
    host.ok("shutdown", "deb")
    equal(states(host), before, "the templates")


main(globals(), setup)
