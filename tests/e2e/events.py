#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`qube events`: all of them or those of some qubes, so many or until the host goes, and after."""

import json
import signal
import subprocess

from harness import Host, equal, expect, gone, main, until


class Reader:
    """qube events with what it wrote so far."""

    def __init__(self, host, *args):
        self.path = host.dir / f"events-{len(host.watchers)}"
        with open(self.path, "wb") as out:
            self.process = host.spawn(
                "events", *args, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE
            )
        host.watchers.append(self)

    def lines(self):
        return self.path.read_text().splitlines()

    def until(self, text, times=1):
        until(lambda: self.path.read_text().count(text) >= times, f"{times} times {text!r}")

    def end(self):
        """Its exit status and what it said."""
        err = self.process.communicate(timeout=15)[1].decode()
        return self.process.returncode, err

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate(timeout=10)


def furnish(host):
    host.create("work")
    host.create("other")


def listening(host, *args):
    """With names the stream says nothing until one of theirs does something."""
    r = Reader(host, *args)
    tag = f"t{len(host.watchers)}"

    def heard():
        host.ok("tags", "work", "add", tag)
        host.ok("tags", "work", "rm", tag)
        return tag in r.path.read_text()

    until(heard, "it listens")
    return r


def test_named_qubes_only(host):
    r = listening(host, "--json", "work", "other")
    one = listening(host, "work")
    host.ok("tags", "other", "add", "mark")
    host.ok("tags", "work", "add", "mark")
    one.until("work domain-tag-add:mark tag=mark")
    r.until('"domain-tag-add:mark"', 2)
    expect("other" not in one.path.read_text(), f"of another: {one.lines()}")
    subjects = [json.loads(line)["subject"] for line in r.lines()]
    equal(set(subjects), {"work", "other"}, "subjects")


def test_a_qube_that_is_removed_is_told(host):
    host.create("short")
    r = Reader(host, "--json", "short")
    for n in range(1000):
        host.ok("tags", "short", "add", f"n{n}")
        if r.lines():
            break
    host.ok("rm", "short")
    r.until('"domain-delete"')
    equal(json.loads(r.lines()[-1])["fields"], {"vm": "short"}, "the last event")


def test_a_name_that_is_no_qube_is_an_error(host):
    r = host.qube("events", "nobody")
    equal(r.code, 1, "exit status")
    expect("nobody" in r.why, r.why)


def test_so_many_and_no_more(host):
    r = Reader(host, "--count", "2", "work")
    until(
        lambda: host.ok("tags", "work", "add", "a", "b")
        and host.ok("tags", "work", "rm", "a", "b")
        and r.process.poll() is not None,
        "its end",
    )
    equal(r.end()[0], 0, "exit status")
    equal(len(r.lines()), 2, "lines")
    equal(host.qube("events", "--count", "0").code, 2, "--count 0")


def test_interrupted_it_ends_well(host):
    for args in ((), ("--follow",)):
        r = Reader(host, *args)
        r.until("connection-established")
        r.process.send_signal(signal.SIGTERM)
        equal(r.end(), (0, ""), f"{args}: status and errors")


def test_without_follow_the_end_of_the_host_is_an_error(host):
    plain = Reader(host)
    as_json = Reader(host, "--json")
    named = listening(host, "work")
    for r in (plain, as_json):
        r.until("connection-established")
    equal(host.stop(), 0, "the end of qubed")
    for r in (plain, as_json, named):
        code, err = r.end()
        equal(code, 1, "exit status")
        expect("the host is gone" in err, err)
    expect("connection-lost" in plain.lines()[-1], f"the last line: {plain.lines()[-1]}")
    equal(json.loads(as_json.lines()[-1])["event"], "connection-lost", "the last object")
    host.start()


def test_follow_waits_for_the_next_host(host):
    plain = Reader(host, "--follow")
    as_json = Reader(host, "--follow", "--json", "--quiet")
    named = listening(host, "--follow", "work")
    for r in (plain, as_json):
        r.until("connection-established")
    for n in (1, 2):
        host.daemon.kill()
        host.daemon.wait(10)
        plain.until("connection-lost", n)
        expect(not gone(named.process.pid), "it ended")
        host.start()
        plain.until("connection-established", n + 1)
        as_json.until("connection-established", n + 1)
    count = named.path.read_text().count("domain-tag-add:again")
    until(
        lambda: host.ok("tags", "work", "add", "again")
        and host.ok("tags", "work", "rm", "again")
        and named.path.read_text().count("domain-tag-add:again") > count,
        "it hears the new host",
    )
    host.stop()
    plain.until("connection-lost", 3)
    for r in (plain, as_json, named):
        r.process.send_signal(signal.SIGTERM)
        code, err = r.end()
        equal(code, 0, "exit status while there is no host")
        expect(r is as_json or "waiting for it" in err, f"what it says: {err!r}")
    host.start()


if __name__ == "__main__":
    main(globals(), furnish)
