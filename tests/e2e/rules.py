#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The policy at work between qubes, and the Admin API for qubes."""

import os
import re

from harness import equal, expect, main, until

POLICY = """# line 1
demo.Echo   *  work   vault     allow
demo.Echo   *  work   @anyvm    deny
demo.Ask    *  work   vault     ask
demo.User   *  work   vault     allow user=root
demo.To     *  work   @default  allow target=vault
demo.Arg    +ok work  vault     allow
"""
ADMIN = """
admin.vm.List              *  work  @adminvm  allow target=dom0
admin.vm.List              *  work  vault     allow target=dom0
admin.vm.property.Get      *  work  vault     allow target=dom0
admin.vm.Start             *  work  vault     allow target=dom0
admin.vm.feature.Set       *  work  vault     allow target=dom0
qube.GetAll                *  work  @adminvm  allow target=dom0
qube.Start                 *  work  vault     allow target=dom0
internal.GetSystemInfo     *  work  @adminvm  allow target=dom0
admin.NoSuchMethod         *  work  @adminvm  allow target=dom0
"""


def setup(host):
    host.policy(POLICY)
    host.create("work")
    host.create("vault")
    host.create("other")
    host.service("vault", "demo.Echo", "#!/bin/sh\nexec cat\n")
    for name in ("demo.Ask", "demo.User", "demo.To", "demo.Arg"):
        host.service("vault", name, '#!/bin/sh\necho "$(uname -n) $(id -un)"\n')
    host.service("other", "demo.Echo", "#!/bin/sh\nexec cat\n")
    host.sh_ok("work", "true")


def answer(r):
    """(ok, text) of an answer of the Admin API."""
    head, _, rest = r.out.partition(b"\0")
    return head == b"0", rest


def test_a_refusal_names_file_and_line_in_event_and_log(host):
    events = host.events()
    equal(host.call("work", "other", "demo.Echo").code, 126, "exit status")
    e = events.wait("rpc-denied", "work", service="demo.Echo", target="other", line="3")
    expect(e["fields"]["file"].endswith("30-user.policy"), f"file is {e}")
    until(
        lambda: re.search(r"denied: work -> other: demo.Echo by \S*30-user.policy:3", host.log()),
        "the line in the log",
    )


def test_a_call_without_a_rule_is_refused(host):
    events = host.events()
    equal(host.call("work", "vault", "demo.None").code, 126, "exit status")
    events.wait("rpc-denied", "work", service="demo.None", cause="no-match")


def test_the_refused_one_learns_nothing_but_that(host):
    r = host.call("work", "other", "demo.Echo")
    equal((r.out, r.err), (b"", b"Request refused\n"), "what the caller is told")
    existing = host.call("work", "other", "demo.None")
    missing = host.call("work", "nosuchqube", "demo.None")
    equal(
        (existing.code, existing.out, existing.err),
        (missing.code, missing.out, missing.err),
        "a qube that is there and one that is not",
    )


def test_ask_without_anybody_to_ask_is_a_refusal(host):
    events = host.events()
    equal(host.call("work", "vault", "demo.Ask").code, 126, "exit status")
    events.wait("rpc-denied", "work", service="demo.Ask")


def test_user_target_and_argument_of_a_rule_hold(host):
    equal(host.call("work", "vault", "demo.User").text, "vault root", "user=")
    equal(host.call("work", "@default", "demo.To").text, "vault user", "target=")
    equal(host.call("work", "vault", "demo.Arg+ok").text, "vault user", "an argument with a rule")
    equal(host.call("work", "vault", "demo.Arg+other").code, 126, "an argument without a rule")
    equal(host.call("work", "vault", "demo.Arg").code, 126, "no argument")


def test_calls_of_the_host_ask_no_policy(host):
    equal(host.qube("call", "other", "demo.Echo", data=b"x").out, b"x", "answer")


def test_a_qube_cannot_speak_for_another(host):
    r = host.sh("other", "/run/qube/guest/qube-rpc -s work vault demo.Echo </dev/null")
    equal(r.code, 126, f"other as work: {r}")
    r = host.sh("work", "/run/qube/guest/qube-rpc -s dom0 other demo.Echo </dev/null")
    equal(r.code, 126, f"work as dom0: {r}")


def test_an_edited_policy_holds_at_the_next_call(host):
    for verdict, code in (("allow", 0), ("deny", 126), ("allow", 0)):
        host.policy(POLICY.replace("vault     allow\n", f"vault     {verdict}\n", 1), wait=False)
        equal(host.call("work", "vault", "demo.Echo").code, code, f"call right after: {verdict}")
    # In place, as `echo >>` does it, and as a new file that sorts first.
    path = host.policy_root / "policy.d" / "30-user.policy"
    path.write_text(POLICY)
    equal(host.call("work", "vault", "demo.Echo").code, 0, "call after a write in place")
    host.policy("demo.Echo * work vault deny\n", name="10-first.policy", wait=False)
    equal(host.call("work", "vault", "demo.Echo").code, 126, "call after a file was added")
    os.unlink(host.policy_root / "policy.d" / "10-first.policy")
    equal(host.call("work", "vault", "demo.Echo").code, 0, "call after it was removed")


def test_a_syntax_error_refuses_every_call_and_names_the_line(host):
    events = host.events()
    host.policy(POLICY + "demo.Bad * work vault perhaps\n", wait=False)
    for service, target in (
        ("demo.Echo", "vault"),
        ("demo.User", "vault"),
        ("demo.To", "@default"),
    ):
        equal(host.call("work", target, service).code, 126, f"{service} under a broken policy")
    e = events.wait("policy-error", line="8")
    expect(e["fields"]["file"].endswith("30-user.policy"), f"file is {e}")
    until(lambda: "30-user.policy:8" in host.log(), "the line in the log")
    r = host.qube("policy", "check", "--dir", host.policy_root)
    equal(r.code, 4, f"policy check: {r}")
    expect("30-user.policy:8" in r.why + r.text, f"policy check does not name the line: {r}")
    equal(host.qube("call", "vault", "demo.Echo", data=b"x").out, b"x", "the host's own call")
    host.policy(POLICY, wait=False)
    equal(host.call("work", "vault", "demo.Echo").code, 0, "call after it was mended")


def test_a_policy_that_is_gone_refuses(host):
    folder = host.policy_root / "policy.d"
    folder.rename(host.policy_root / "away")
    equal(host.call("work", "vault", "demo.Echo").code, 126, "call without a policy")
    (host.policy_root / "away").rename(folder)
    until(lambda: host.call("work", "vault", "demo.Echo").code == 0, "calls are allowed again")


def test_a_qube_s_admin_call_needs_a_rule(host):
    for service, target in (
        ("admin.vm.List", "dom0"),
        ("admin.vm.Kill", "vault"),
        ("admin.vm.property.Set+label", "vault"),
        ("admin.Events", "dom0"),
    ):
        equal(host.call("work", target, service).code, 126, f"{service} to {target}")


def test_a_qube_sees_in_a_listing_what_the_policy_shows(host):
    host.policy(POLICY + ADMIN)
    fine, text = answer(host.call("work", "dom0", "admin.vm.List"))
    expect(fine, f"refused: {text}")
    equal([line.split()[0] for line in text.decode().splitlines()], ["dom0", "vault"], "qubes")
    fine, text = answer(host.call("work", "vault", "admin.vm.List"))
    expect(fine and text.startswith(b"vault class=AppVM state="), f"one qube: {text}")
    equal(host.call("work", "other", "admin.vm.List").code, 126, "a qube without a rule")


def test_a_qube_reads_and_sets_what_it_may(host):
    fine, text = answer(host.call("work", "vault", "admin.vm.property.Get+label"))
    expect(fine and b"type=label" in text and text.endswith(b"red"), f"property: {text}")
    equal(
        answer(host.call("work", "vault", "admin.vm.feature.Set+from-work", b"7"))[0], True, "set"
    )
    equal(host.ok("features", "vault", "from-work").text, "7", "the feature")
    host.ok("shutdown", "vault")
    equal(answer(host.call("work", "vault", "admin.vm.Start"))[0], True, "start")
    equal(host.state_of("vault"), "Running", "state")


def test_methods_of_the_host_alone_are_refused_whatever_the_policy_says(host):
    for service, target in (
        ("qube.GetAll", "dom0"),
        ("qube.Start", "vault"),
        ("internal.GetSystemInfo", "dom0"),
    ):
        r = host.call("work", target, service)
        expect(not answer(r)[0], f"{service} is answered: {r}")
    r = host.call("work", "dom0", "admin.NoSuchMethod")
    equal((r.code, r.out), (127, b""), "a method that is not there")


def threat_08_an_answer_to_a_qube_is_of_the_known_form(host):
    """Nothing of policy files, paths, other qubes or our own memory in what a qube is told."""
    secrets = [b"30-user", str(host.dir).encode(), b"other", b".c:", b"0x", b"allow", b"deny"]
    shape = re.compile(rb"0\0[\x20-\x7e\n]*|2\0[A-Za-z]+\0\0[\x20-\x7e]*\0(?:[\x20-\x7e]*\0)*|")
    asked = [
        ("dom0", "admin.vm.List"),
        ("vault", "admin.vm.List"),
        ("dom0", "qube.GetAll"),
        ("vault", "admin.vm.property.Get+label"),
        ("vault", "admin.vm.property.Get+nonsense"),
        ("vault", "admin.vm.property.Get"),
        ("vault", "admin.vm.feature.Set"),
        ("vault", "admin.vm.List+argument"),
        ("dom0", "admin.NoSuchMethod"),
        ("dom0", "admin.vm.property.Get+label"),
        ("vault", "qube.Start"),
    ]
    for target, service in asked:
        for data in (b"", b"payload\0\xff" * 100):
            r = host.call("work", target, service, data)
            expect(shape.fullmatch(r.out), f"{service} to {target}: {r}")
            for s in secrets:
                expect(s not in r.out and s not in r.err, f"{service} to {target} tells {s}: {r}")


def test_a_payload_that_is_too_large_is_refused(host):
    r = host.call("work", "vault", "admin.vm.feature.Set+big", b"x" * 200000)
    expect(r.code != 0 or not answer(r)[0], f"accepted: {r}")
    equal(host.qube("features", "vault", "big").out, b"", "the feature")
    equal(host.sh("work", "exit 3").code, 3, "a call afterwards")


def test_explain_agrees_with_what_was_decided(host):
    host.policy(POLICY)
    r = host.qube(
        "policy",
        "explain",
        "--dir",
        host.policy_root,
        "--source",
        "work",
        "--target",
        "other",
        "--service",
        "demo.Echo",
    )
    equal(r.code, 1, f"explain: {r}")
    expect("30-user.policy:3" in r.text, f"does not name the line: {r}")


main(globals(), setup)
