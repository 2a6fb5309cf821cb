#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""--trace of each long operation, over the socket and embedded: the stages that are promised, with
the parts that helpers did for them, nested in time."""

import json
import re

from harness import equal, expect, main

BOX = ["launch", "mounts", "clone", "trees", "root", "jail"]
START = {
    "prepare": [],
    "volumes": [],
    "create": BOX,
    "run": [],
    "agent": ["connect", "hello"],
    "up": [],
}
END = ["guest", "settle"]


def trace_of(result):
    equal(result.code, 0, f"exit status, {result.why}")
    lines = [line for line in result.why.splitlines() if line.startswith('{"trace"')]
    equal(len(lines), 1, f"traces in {result.why}")
    return json.loads(lines[0])["trace"]


def nested(trace):
    """Stage to parts; each begins where the one before it ended, or later, and is within its
    stage. Times that two processes rounded do not matter: one clock is read."""
    found = {}
    end = 0
    for s in trace:
        stage, first, last = s["part_of"], s["start_ns"], s["start_ns"] + s["duration_ns"]
        expect(s["duration_ns"] > 0, f"without a time: {s}")
        if stage is None:
            expect(first >= end, f"{s} begins before {end}")
            end = last
            inner, outer = first, last
            found[s["stage"]] = []
            current = s["stage"]
            continue
        equal(stage, current, "where a part stands")
        expect(first >= inner and last <= outer, f"{s} leaves {inner}..{outer}")
        inner = last
        found[stage].append(s["stage"])
    return found


def traced(host, *args, data=b""):
    command, *rest = args
    where = rest.index("--") if "--" in rest else len(rest)
    rest[where:where] = ["--trace", "--json"]
    return nested(trace_of(host.qube(command, *rest, data=data)))


def furnish(host):
    host.create("work")
    host.sh_ok("work", "echo 1 >kept")
    host.ok("shutdown", "work")


def test_start_and_its_ends(host):
    equal(traced(host, "start", "work"), START, "a start")
    equal(traced(host, "shutdown", "work"), {"shutdown": END}, "a shutdown")
    host.ok("start", "work")
    equal(traced(host, "kill", "work"), {"kill": END}, "a kill")


def test_call_and_run(host):
    got = traced(host, "run", "work", "--", "true")
    equal(got, {**START, "call": []}, "a run that starts")
    equal(traced(host, "run", "work", "--", "true"), {"call": []}, "a run")
    host.ok("shutdown", "work")


def test_clone(host):
    equal(traced(host, "clone", "work", "copy"), {"private": ["copy"]}, "a clone")
    host.ok("rm", "copy")


def test_import_of_a_template(host):
    got = traced(host, "template", "import", "other", "--include", "dash", "--yes")
    equal(got, {"plan": [], "copy": ["write", "settings", "flush"], "define": []}, "an import")
    host.ok("rm", "other")


def test_volume_out_and_in(host):
    path = host.dir / "out.tar"
    got = traced(host, "volume", "export", "work", "private", path)
    equal(got, {"export": []}, "an export")
    got = traced(host, "volume", "import", "work", "private", path)
    equal(got, {"import": ["verify", "unpack", "flush"]}, "an import")


def test_the_picture_indents_parts(host):
    text = host.ok("start", "work", "--trace").why
    rows = [line for line in text.splitlines() if line.endswith("|")]
    equal([r.split()[0] for r in rows], [w for s, p in START.items() for w in (s, *p)], "rows")
    for r in rows:
        part = r.split()[0] in BOX + ["connect", "hello"]
        equal(r.startswith("  "), part, f"indented: {r}")
        expect(re.search(r"\|[ =]*=+ *\|$" if part else r"\|[ #]*#+ *\|$", r), f"bar of {r}")
    equal(len({len(r) for r in rows}), 1, "one width")
    host.ok("kill", "work")


def test_embedded_says_the_same(host):
    host.stop()
    try:
        own = ["--embedded", "--state-dir", host.state, "--run-dir", host.run_dir]
        own += ["--policy-root", host.policy_root]
        command = host.command
        host.command = lambda *args: [str(host.bin / "qube"), *map(str, own), *map(str, args)]
        equal(traced(host, "run", "work", "--", "true"), {**START, "call": []}, "")
        equal(traced(host, "clone", "work", "copy"), {"private": ["copy"]}, "a clone")
        host.ok("rm", "copy")
    finally:
        host.command = command
        host.start()


def test_of_several_each_is_named(host):
    host.create("two", "-p", "autostart=True")
    host.ok("prefs", "work", "autostart", "True")
    r = host.ok("start", "--autostart", "--trace", "--json")
    found = [json.loads(line) for line in r.why.splitlines() if '"trace"' in line]
    equal(sorted(t["name"] for t in found), ["two", "work"], "whose")
    for t in found:
        equal([s["stage"] for s in t["trace"] if s["part_of"] is None][-1], "up", "the last")
    text = host.ok("shutdown", "--all", "--trace").why
    for name in ("two:", "work:"):
        expect(f"{name}\nSTAGE " in text, f"{name} in {text}")
    equal(text.count("\nshutdown "), 2, "shutdowns")
    host.ok("rm", "two")


if __name__ == "__main__":
    main(globals(), furnish)
