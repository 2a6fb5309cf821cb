#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Roles of qubes: disposables that end with who made them, flags of services, and that nothing made
for a qube has more than the qube itself."""

import contextlib
import json
import os
import pty
import signal
import subprocess

from harness import equal, expect, main, until


def setup(host):
    host.create("work")
    host.create("dvm", "--property", "template_for_dispvms=True")
    host.ok("prefs", "work", "default_dispvm", "dvm")


def disposables(host):
    return [q["name"] for q in json.loads(host.ok("ls", "--json").out) if q["class"] == "DispVM"]


def run_in_disposable(host):
    ready = host.dir / "ready"
    ready.unlink(missing_ok=True)
    out = open(ready, "wb")
    p = subprocess.Popen(
        host.command("run", "--disposable=dvm", "--", "echo up; exec sleep 1000"),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.DEVNULL,
    )
    out.close()
    until(lambda: ready.read_bytes() == b"up\n", "the disposable runs")
    return p


def test_a_disposable_ends_with_a_client_that_is_killed(host):
    before = host.traces()
    p = run_in_disposable(host)
    equal(len(disposables(host)), 1, "disposables while it runs")
    p.kill()
    p.wait(10)
    until(lambda: not disposables(host), "the disposable is gone")
    after = host.traces()
    for kind in ("processes", "mounts", "namespaces", "cgroups"):
        equal(after[kind] - before[kind], set(), f"{kind} that are left")


def test_a_disposable_does_not_outlive_client_and_host(host):
    p = run_in_disposable(host)
    os.kill(host.pid, signal.SIGKILL)
    host.daemon.wait(10)
    p.kill()
    p.wait(10)
    host.start()
    until(lambda: not disposables(host), "the disposable is gone")


def test_one_that_nobody_holds_stays(host):
    name = host.ok("create", "--disposable=dvm").text
    expect(name in disposables(host), f"{name} is there")
    host.ok("rm", name)


def test_flags_of_services_are_files_inside(host):
    host.ok("features", "work", "service.cups", "1")
    host.ok("features", "work", "service.off", "")
    host.ok("features", "work", "service.my.own_one", "yes")
    host.ok("features", "work", "other", "1")
    host.qube("shutdown", "work")
    equal(host.sh_ok("work", "ls -A /run/qubes-service").text, "cups\nmy.own_one", "flags")
    host.ok("shutdown", "work")
    host.ok("features", "work", "--unset", "service.cups")
    host.ok("features", "work", "--unset", "service.my.own_one")
    equal(host.sh_ok("work", "ls -A /run/qubes-service").text, "", "without flags")
    # An odd name can be set, and keeps nothing from starting.
    host.ok("shutdown", "work")
    host.ok("features", "work", "service.-odd", "1")
    equal(host.sh_ok("work", "ls -A /run/qubes-service").text, "", "an odd name")
    host.ok("shutdown", "work")


def threat_24_nothing_of_a_disposable_is_in_the_next(host):
    first = host.ok(
        "run", "--disposable=dvm", "--", "echo secret >>~/left; echo x >/tmp/left; cat ~/left"
    ).text
    equal(first, "secret", "the first")
    second = host.qube("run", "--disposable=dvm", "--", "cat ~/left /tmp/left 2>&1; ls -A ~")
    expect("secret" not in second.text, f"the second: {second!r}")


def test_a_named_disposable_keeps_its_name_and_nothing_else(host):
    host.ok("create", "named", "--class", "DispVM", "--template", "dvm")
    equal(host.sh_ok("named", "echo a >~/kept; cat ~/kept").text, "a", "while it runs")
    host.ok("shutdown", "named")
    equal(host.state_of("named"), "Halted", "it is still defined")
    equal(host.sh_ok("named", "ls ~/kept 2>&1 | grep -c cannot").text, "1", "after a stop")
    host.ok("shutdown", "named")
    host.ok("rm", "named")


def class_of(host, name):
    return json.loads(host.ok("ls", "--json", name).out)[0]["class"]


def test_a_disposable_template_is_one_because_it_says_so(host):
    for args in (("run", "--disposable=work", "--", "true"),
                 ("create", "--disposable=work"),
                 ("create", "d", "--class", "DispVM", "--template", "work"),
                 ("admin", "admin.vm.CreateDisposable", "work")):
        r = host.qube(*args)
        expect(r.code != 0 and "template_for_dispvms" in r.why, f"{args}: {r}")
    host.ok("create", "named", "--class", "DispVM", "--template", "dvm")
    r = host.qube("prefs", "dvm", "template_for_dispvms", "False")
    expect(r.code == 1 and "named" in r.why, f"cleared while it is used: {r}")
    host.ok("rm", "named")


def test_a_named_disposable_is_removed_at_its_stop_if_it_says_so(host):
    host.ok("admin", "admin.vm.Create.DispVM", "dom0", "dvm", "--payload", "name=named label=blue")
    equal(class_of(host, "named"), "DispVM", "its class")
    equal(host.ok("prefs", "named", "auto_cleanup").text, "False", "of a named one")
    host.ok("prefs", "named", "auto_cleanup", "True")
    host.ok("start", "named")
    host.ok("shutdown", "named")
    until(lambda: "named" not in host.qubes(), "it is removed")
    # An unnamed one may be kept: then it is one with a name.
    name = host.ok("create", "--disposable=dvm").text
    equal(host.ok("prefs", name, "auto_cleanup").text, "True", "of an unnamed one")
    host.ok("prefs", name, "auto_cleanup", "False")
    host.ok("start", name)
    host.ok("shutdown", name)
    expect(name in host.qubes(), "it was kept")
    host.ok("rm", name)


def test_a_disposable_of_a_call_ends_with_the_call(host):
    host.policy("demo.Where * work @dispvm allow\n")
    host.service("dvm", "demo.Where", '#!/bin/sh\necho "$(uname -n)"\n')
    host.ok("shutdown", "dvm")
    name = host.call("work", "@dispvm", "demo.Where").text
    expect(name.startswith("disp"), f"it was answered by {name!r}")
    until(lambda: not disposables(host), "it is gone")
    host.ok("prefs", "work", "default_dispvm", "")
    expect(host.call("work", "@dispvm", "demo.Where").code != 0, "without a default_dispvm")
    host.ok("prefs", "work", "default_dispvm", "dvm")
    host.ok("shutdown", "work")


def test_a_qube_makes_disposables_of_its_own_default(host):
    host.policy("admin.vm.CreateDisposable * work @adminvm allow target=dom0\n"
                "admin.vm.CreateDisposable * work @anyvm deny\n")
    r = host.call("work", "dom0", "admin.vm.CreateDisposable")
    expect(r.out.startswith(b"0\0disp"), f"its answer: {r}")
    name = r.out[2:].decode().strip()
    equal(host.ok("prefs", name, "template").text, "dvm", "its template")
    tags = host.ok("tags", name).text.split()
    expect({"created-by-work", "disp-created-by-work"} <= set(tags), f"its tags: {tags}")
    host.ok("rm", name)
    expect(host.call("work", "work", "admin.vm.CreateDisposable").code != 0, "of another template")
    host.ok("shutdown", "work")


def test_a_standalone_qube_begins_with_a_root_or_with_none(host):
    host.ok("create", "alone", "--class", "StandaloneVM", "--template", "base")
    host.sh_ok("alone", "echo own >/etc/own", "root")
    host.ok("shutdown", "alone")
    equal(host.sh_ok("alone", "cat /etc/own").text, "own", "kept in its root")
    host.ok("shutdown", "alone")
    r = host.qube("create", "other", "--class", "StandaloneVM", "--template", "work")
    expect(r.code == 1 and "'work'" in r.why, f"of a qube without a root: {r}")
    host.ok("admin", "admin.vm.Create.StandaloneVM", "dom0", "--payload", "name=bare label=red")
    equal(class_of(host, "bare"), "StandaloneVM", "its class")
    r = host.qube("start", "bare")
    expect(r.code == 1 and "is empty" in r.why, f"started without a system: {r}")
    root = host.dir / "root.tar"
    host.ok("volume", "export", "alone", "root", str(root))
    host.ok("volume", "import", "bare", "root", str(root))
    equal(host.sh_ok("bare", "cat /etc/own").text, "own", "filled")
    host.ok("shutdown", "bare")
    host.ok("rm", "alone", "bare")


def test_what_qubes_have_that_say_nothing_else(host):
    host.ok("defaults", "default_template", "")
    equal(host.qube("create", "plain").code, 1, "without a default template")
    host.ok("defaults", "default_template", "base")
    equal(json.loads(host.ok("defaults", "default_template", "--json").out),
          {"default_template": {"value": "base", "type": "vm", "default": False}}, "as JSON")
    host.ok("create", "plain")
    equal(host.ok("prefs", "plain", "template").text, "base", "its template")
    equal(host.qube("run", "--disposable", "--", "true").code, 125, "without a default_dispvm")
    host.ok("admin", "admin.property.Set", "dom0", "default_dispvm", "--payload", "dvm")
    equal(host.ok("defaults", "default_dispvm").text, "dvm", "set over the Admin API")
    host.ok("run", "--disposable", "--", "true")
    equal(host.ok("prefs", "plain", "default_dispvm").text, "dvm", "of a qube")
    equal(host.qube("defaults", "default_dispvm", "work").code, 1, "no disposable template")
    r = host.qube("rm", "dvm")
    expect(r.code == 1 and "'dvm' is in use" in r.why, f"removed though it is a default: {r}")
    # Who runs and gets another value by it is told of.
    host.create("net", "--property", "netvm=", "--property", "provides_network=True")
    host.ok("start", "plain")
    events = host.events()
    host.ok("defaults", "default_netvm", "net")
    events.wait("property-set:default_netvm", newvalue="net")
    events.wait("property-reset:netvm", "plain")
    host.ok("defaults", "--reset", "default_netvm")
    events.close()
    expect("'plain' runs, and its netvm is now net, by default" in host.log(), "not in the log")
    host.ok("shutdown", "plain")
    host.stop()
    host.start()
    values = json.loads(host.ok("defaults", "--json").out)
    equal(values["default_template"]["value"], "base", "after a restart")
    equal(values["default_dispvm"]["value"], "dvm", "after a restart")
    host.ok("defaults", "default_dispvm", "")
    equal(host.qube("defaults", "nothing").code, 1, "a property that is none")
    host.ok("rm", "plain", "net")


def on_terminal(host, *args):
    """What a verb writes where its output is a terminal."""
    leader, follower = pty.openpty()
    p = subprocess.Popen(host.command(*args), stdin=subprocess.DEVNULL, stdout=follower,
                         stderr=subprocess.DEVNULL)
    os.close(follower)
    out = b""
    with contextlib.suppress(OSError):  # EIO: the other side is closed
        while chunk := os.read(leader, 4096):
            out += chunk
    os.close(leader)
    equal(p.wait(10), 0, f"{args}")
    return out.replace(b"\r\n", b"\n")


def test_notes_are_kept_cloned_and_harmless(host):
    equal(host.ok("notes", "work").out, b"", "of a qube without notes")
    host.ok("notes", "work", "bank only")
    equal(host.ok("notes", "work").out, b"bank only", "set as an argument")
    text = "grüße\n\tzwei Zeilen €\n".encode()
    host.ok("notes", "work", "-", data=text)
    equal(host.ok("notes", "work").out, text, "set from standard input")
    equal(on_terminal(host, "notes", "work"), text, "on a terminal")
    host.stop()
    host.start()
    equal(host.ok("notes", "work").out, text, "after a restart")
    equal(json.loads(host.ok("notes", "work", "--json").out),
          {"name": "work", "notes": text.decode()}, "as JSON")
    equal(host.ok("admin", "admin.vm.notes.Get", "work").out, text, "over the Admin API")
    host.ok("clone", "work", "copy")
    equal(host.ok("notes", "copy").out, text, "of a clone")
    host.ok("rm", "copy")
    host.ok("create", "copy")
    equal(host.ok("notes", "copy").out, b"", "of a new qube of that name")
    host.ok("rm", "copy")
    evil = b"\x1b]0;owned\x07\x9b31m \xe2\x80\xaetxt\r"
    equal(host.qube("notes", "work", "-", data=evil).code, 1, "not UTF-8")
    equal(host.ok("notes", "work").out, text, "what was there")
    evil = evil.replace(b"\x9b", b"\xc2\x9b")
    host.ok("notes", "work", "-", data=evil)
    equal(host.ok("notes", "work").out, b"_]0;owned__31m _txt_", "what could act on a terminal")
    host.ok("admin", "admin.vm.notes.Set", "work", "--stdin", data=b"\x1b[5n")
    equal(on_terminal(host, "notes", "work"), b"_[5n\n", "over the Admin API, on a terminal")
    for data in (b"a\0b", b"x" * 256001, b"y" * 65530):
        r = host.qube("notes", "work", "-", data=data)
        equal(r.code, 1, f"{len(data)} bytes")
        expect(r.why, "says nothing")
    host.ok("notes", "work", "-", data=b"z" * 65000)
    equal(len(host.ok("notes", "work").out), 65000, "a long one")
    host.ok("notes", "work", "")
    equal(host.ok("notes", "work").out, b"", "none")
    equal(host.qube("notes", "dom0", "x").code, 1, "of the host")
    equal(host.qube("notes", "nobody").code, 1, "of nobody")


def test_labels_are_made_used_and_removed(host):
    names = [x["name"] for x in json.loads(host.ok("label", "ls", "--json").out)]
    equal(names, "red orange yellow green gray blue purple black".split(), "built in")
    made = json.loads(host.ok("label", "create", "mauve", "0xE0b0ff", "--json").out)
    equal(made, {"name": "mauve", "index": 9, "color": "0xe0b0ff", "built_in": False}, "made")
    for name, colour in (("mauve", "0x000000"), ("12", "0x000000"), ("a b", "0x000000")):
        equal(host.qube("label", "create", name, colour).code, 1, f"{name!r} {colour}")
    for colour in ("e0b0ff", "0x12345", "0x1234567", "0x12345g", ""):
        equal(host.qube("label", "create", "other", colour).code, 2, f"colour {colour!r}")
    host.ok("create", "painted", "--label", "mauve")
    host.stop()
    host.start()
    equal(host.ok("prefs", "painted", "label").text, "mauve", "after a restart")
    r = host.qube("label", "rm", "mauve")
    equal(r.code, 1, "removed while it is used")
    expect("painted" in r.why, f"does not name who uses it: {r}")
    equal(host.qube("label", "rm", "red").code, 1, "a built-in one")
    # The same over the Admin API.
    equal(host.ok("admin", "admin.label.Index", "dom0", "mauve").text, "9", "its index")
    equal(host.ok("admin", "admin.label.Get", "dom0", "mauve").text, "0xe0b0ff", "its colour")
    host.ok("rm", "painted")
    host.ok("label", "rm", "mauve")
    equal(host.qube("label", "rm", "mauve").code, 1, "removed twice")
    host.stop()
    host.start()
    equal(len(json.loads(host.ok("label", "ls", "--json").out)), 8, "after another restart")


main(globals(), setup)
