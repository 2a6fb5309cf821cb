#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Life of a qube: what is kept and what is not, classes, states, events, the log."""

import json
import os
import signal
import subprocess

from harness import equal, expect, main, nothing_left, until


def setup(host):
    host.ok("clone", "base", "tpl")
    host.ok("create", "app", "--template", "tpl")
    host.ok("create", "alone", "--class", "StandaloneVM", "--template", "tpl")


def test_root_is_thrown_away_and_home_is_kept(host):
    host.sh_ok(
        "app",
        "echo r >/etc/mark && echo t >/tmp/mark && echo h >/home/user/mark && "
        "chown user /home/user/mark && echo l >/usr/local/mark",
        "root",
    )
    host.ok("shutdown", "app")
    r = host.sh("app", "cat /etc/mark; cat /tmp/mark; cat /home/user/mark; cat /usr/local/mark")
    equal(r.out, b"h\nl\n", "what is left after a restart")


def test_files_of_the_template_come_back_after_they_were_removed(host):
    host.sh_ok("app", "rm /etc/passwd && echo >/etc/group", "root")
    host.ok("shutdown", "app")
    equal(host.sh_ok("app", "id -un").text, "user", "user")


def test_a_template_s_change_is_seen_after_both_stopped(host):
    host.sh_ok("app", "test ! -e /etc/change")
    host.sh_ok("tpl", "echo changed >/etc/change", "root")
    equal(host.sh("app", "cat /etc/change").code, 1, "seen while the template runs")
    host.ok("shutdown", "tpl")
    equal(host.sh("app", "cat /etc/change").code, 1, "seen by a qube that was started before")
    host.ok("shutdown", "app")
    equal(host.sh_ok("app", "cat /etc/change").text, "changed", "after the restart")


def test_a_killed_template_commits_or_keeps_nothing_torn(host):
    host.sh_ok("tpl", "echo more >/etc/more", "root")
    host.ok("kill", "tpl")
    host.ok("shutdown", "app")
    r = host.sh("app", "cat /etc/more; cat /etc/change")
    expect(r.out in (b"changed\n", b"more\nchanged\n"), f"torn: {r}")


def test_a_clone_has_the_same_and_goes_its_own_way(host):
    host.sh_ok("app", "echo first >/home/user/both")
    host.ok("shutdown", "app")
    host.ok("clone", "app", "twin")
    host.sh_ok("app", "echo second >/home/user/both")
    equal(host.sh_ok("twin", "cat /home/user/both").text, "first", "the clone's file")
    qubes = host.qubes()
    equal(qubes["twin"]["template"], "tpl", "the clone's template")
    expect(
        host.ok("prefs", "--json", "app", "uuid").out
        != host.ok("prefs", "--json", "twin", "uuid").out,
        "the clone has the same uuid",
    )
    host.ok("shutdown", "twin")
    host.ok("rm", "twin")


def test_a_running_qube_is_not_cloned_nor_removed(host):
    host.ok("start", "app")
    for verb in (("clone", "app", "twin"), ("rm", "app")):
        r = host.qube(*verb)
        equal(r.code, 1, f"qube {verb}")
        expect("app" in r.why, f"says nothing of app: {r}")
    expect("twin" not in host.qubes(), "half a clone is there")


def test_a_template_in_use_is_not_removed(host):
    host.ok("shutdown", "app")
    equal(host.qube("rm", "tpl").code, 1, "exit status")
    expect("tpl" in host.qubes(), "it is gone")


def test_a_standalone_keeps_its_root_and_ignores_the_template(host):
    host.sh_ok("alone", "echo mine >/etc/mine", "root")
    host.ok("shutdown", "alone")
    host.sh_ok("tpl", "echo later >/etc/later", "root")
    host.ok("shutdown", "tpl")
    equal(host.sh_ok("alone", "cat /etc/mine; test ! -e /etc/later").text, "mine", "its root")
    host.ok("shutdown", "alone")


def test_pause_freezes_and_unpause_goes_on(host):
    host.ok("start", "app")
    host.sh_ok("app", "(while :; do echo x >>/home/user/beat; sleep 0.02; done) >/dev/null 2>&1 &")
    beat = host.home("app") / "beat"
    until(lambda: beat.exists() and beat.stat().st_size, "it beats")
    host.ok("pause", "app")
    equal(host.state_of("app"), "Paused", "state")
    size = beat.stat().st_size
    equal(host.sh("app", "true").code, 125, "a call into a paused qube")
    equal(beat.stat().st_size, size, "size while it is frozen")
    host.ok("unpause", "app")
    until(lambda: beat.stat().st_size > size, "it beats again")
    equal(host.state_of("app"), "Running", "state")


def test_kill_ends_a_paused_qube_and_all_its_processes(host):
    host.ok("start", "app")
    before = host.traces()
    host.ok("pause", "app")
    host.ok("kill", "app")
    equal(host.state_of("app"), "Halted", "state")
    now = host.traces()
    expect(before["processes"] - now["processes"], "its processes are there")
    for group in before["cgroups"]:
        expect(group not in now["cgroups"], "its group is there")


def test_shutdown_lets_services_end_in_order(host):
    host.sh_ok(
        "app",
        "(trap 'echo bye >/home/user/bye; exit' TERM; while :; do sleep 0.05; done)"
        " >/dev/null 2>&1 &",
    )
    host.ok("shutdown", "app")
    equal((host.home("app") / "bye").read_text(), "bye\n", "what the process wrote at its end")


def test_shutdown_has_a_time_and_then_kills_if_wanted(host):
    host.sh_ok("app", "(trap '' TERM; while :; do sleep 0.05; done) >/dev/null 2>&1 &")
    r = host.qube("shutdown", "--timeout", "1", "app")
    equal(host.state_of("app"), "Running", f"shutdown --timeout 1: {r}")
    expect("timed out" in r.why, f"shutdown --timeout 1: {r}")
    host.ok("prefs", "app", "shutdown_timeout", "1")
    r = host.qube("shutdown", "--or-kill", "app")
    equal((r.code, host.state_of("app")), (0, "Halted"), f"shutdown --or-kill: {r}")
    host.ok("prefs", "app", "--reset", "shutdown_timeout")


def test_wait_ends_at_the_state_or_at_its_time(host):
    r = host.qube("wait", "app", "--timeout", "1")
    equal(r.code, 124, "time is up")
    waiter = host.spawn("wait", "app", "--timeout", "20")
    host.ok("start", "app")
    equal(waiter.wait(20), 0, "wait for running")
    waiter.communicate()
    waiter = host.spawn("wait", "app", "--state", "halted", "--timeout", "20")
    host.ok("kill", "app")
    equal(waiter.wait(20), 0, "wait for halted")
    waiter.communicate()


def test_a_command_interrupted_by_ctrl_c_ends_with_130(host):
    host.ok("start", "app")
    p = host.spawn("run", "app", "--", "echo there; sleep 100")
    equal(p.stdout.readline(), b"there\n", "first line")
    p.send_signal(signal.SIGINT)
    equal(p.wait(10), 130, "exit status")
    p.communicate()


def test_events_of_a_life_come_in_order(host):
    host.ok("kill", "app")
    events = host.events()
    host.ok("start", "app")
    host.ok("pause", "app")
    host.ok("unpause", "app")
    host.ok("shutdown", "app")
    events.wait("domain-shutdown", "app")
    seen = [e["event"] for e in events.list if e.get("subject") == "app"]
    want = [
        "domain-pre-start",
        "domain-spawn",
        "domain-start",
        "domain-paused",
        "domain-unpaused",
        "domain-pre-shutdown",
        "domain-stopped",
        "domain-shutdown",
    ]
    equal([e for e in seen if e in want], want, f"order (of {seen})")


def test_events_of_settings(host):
    events = host.events()
    host.ok("prefs", "app", "label", "green")
    host.ok("tags", "app", "add", "e2e")
    host.ok("features", "app", "e2e", "1")
    events.wait("property-set:label", "app")
    events.wait("domain-tag-add:e2e", "app")
    events.wait("domain-feature-set:e2e", "app")


def test_an_agent_that_dies_is_started_again_and_the_log_says_so(host):
    host.ok("start", "app")
    host.sh("app", "kill -9 $QREXEC_AGENT_PID", "root")
    until(lambda: "app: the agent ended" in host.log(), "the line is in the log")
    expect(b"is started again" in host.ok("logs", "app").out, "qube logs does not have it")
    until(lambda: host.sh("app", "exit 3").code == 3, "calls work again")


def test_a_qube_without_an_agent_runs_and_cannot_be_called(host):
    host.policy("demo.Echo * app mute allow\n")
    host.create("mute")
    host.ok("features", "mute", "qrexec", "")
    host.ok("start", "mute")
    equal(host.state_of("mute"), "Running", "state")
    r = host.sh("mute", "true")
    equal(r.err, b"qube: 'mute' has no agent: its feature qrexec is off\n", "what a call says")
    equal(r.code, 125, "its status")
    equal(host.call("app", "mute", "demo.Echo").code, 126, "a call of another qube")
    os.kill(host.pid, signal.SIGKILL)
    host.daemon.wait(10)
    host.start()
    equal(host.state_of("mute"), "Running", "state in the next host")
    equal(host.sh("mute", "true").code, 125, "a call then")
    host.ok("shutdown", "mute")
    host.ok("features", "mute", "--unset", "qrexec")
    equal(host.sh_ok("mute", "echo heard").text, "heard", "with one again")
    host.ok("shutdown", "mute")
    host.ok("rm", "mute")


def test_listing_in_json_says_what_isolates_and_what_is_not_enforced(host):
    host.ok("start", "app")
    q = host.qubes()["app"]
    equal(q["isolation"], "kernel-shared", "isolation")
    expect("unenforced" in q, f"no list of what is not enforced: {q}")


def test_removing_everything_leaves_only_the_template(host):
    names = [n for n in host.qubes() if n not in ("dom0", "base")]
    host.ok("kill", *[n for n in names if host.state_of(n) != "Halted"])
    host.ok("rm", *[n for n in names if n != "tpl"])
    host.ok("rm", "tpl")
    equal(set(host.qubes()), {"dom0", "base"}, "qubes")
    volumes = host.state / "pools/default/volumes"
    until(lambda: [p.name for p in volumes.iterdir()] == ["base"], "volumes are removed")
    until(lambda: not list((host.state / "pools/default/trash").iterdir()), "the trash is empty")
    equal(len(list((host.state / "pools/default/layers").iterdir())), 1, "layers")
    equal([p.name for p in (host.state / "qubes").iterdir()], ["base.json"], "files")


def test_an_embedded_host_needs_no_daemon(host):
    host.stop()
    command = [
        str(host.bin / "qube"),
        "--embedded",
        "--state-dir",
        str(host.state),
        "--run-dir",
        str(host.run_dir),
        "--policy-root",
        str(host.policy_root),
    ]
    done = subprocess.run(
        command + ["run", "--json", "base", "--", "id -un"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    host.start()
    equal((done.returncode, done.stdout), (0, b"user\n"), f"embedded: {done.stderr!r}")
    equal(json.loads(host.ok("ls", "--json").out) != [], True, "listing")


main(globals(), setup)
