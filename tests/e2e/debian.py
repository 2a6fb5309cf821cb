#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""template import --debian: mmdebstrap's result becomes a template, from an archive that is signed
by a key of our own, as another distribution's is. It installs a system: half a minute."""

import os
import pathlib
import shutil
import signal
import subprocess

import roots
from harness import equal, expect, main, until

MIRROR = {}


def setup(host):
    place = roots.made("mirror")
    MIRROR.update(place=place, url=f"copy://{place}", key=place / "key.gpg")
    MIRROR["args"] = ("--debian=small", "--mirror", MIRROR["url"])


def import_it(host, name, *args, **how):
    return host.qube("template", "import", name, *args, timeout=200, **how)


def nothing_of(host, name):
    expect(name not in host.qubes(), f"{name} is there")
    equal(list(pathlib.Path("/var/tmp").glob("qube-debian.*")), [], "what is left")


def test_what_makes_no_sense_is_told_at_once(host):
    for args, code, word in (
        (["--mirror", "copy:///x"], 2, "for --debian"),
        (["--debian", "--from", "x"], 2, "does not go with --from"),
        (["--debian", "--unsigned"], 2, "does not go with --unsigned"),
        (["--debian=-x"], 2, "no suite"),
        (["--debian=a/b"], 2, "no suite"),
        (["--debian", "--mirror", "/etc/apt/sources.list"], 2, "is a URL"),
        (["--debian", "--mirror", "deb [trusted=yes] http://x y main"], 2, "is a URL"),
        (["--debian", "--include=-x"], 2, "names of packages"),
        (["--debian", "--include=?essential"], 2, "names of packages"),
        (["--debian", "--keyring", "/nowhere"], 1, "cannot read /nowhere"),
    ):
        r = import_it(host, "new", *args)
        equal(r.code, code, f"{args}: {r}")
        expect(word in r.why, f"{args}: {r}")
    r = import_it(host, "base", *MIRROR["args"])
    equal((r.code, r.why), (1, "qube: there is a qube 'base' already"), "a name that is taken")
    empty = host.dir / "empty"
    empty.mkdir()
    done = subprocess.run(
        host.command("template", "import", "new", "--debian"),
        env={**os.environ, "PATH": str(empty)},
        capture_output=True,
        check=False,
    )
    equal(done.returncode, 1, "without mmdebstrap")
    expect(b"mmdebstrap, which is not installed" in done.stderr, done.stderr)
    nothing_of(host, "new")


def threat_26_an_archive_that_others_signed_is_refused(host):
    for args in ((), ("--keyring", "/usr/share/keyrings/debian-archive-keyring.gpg")):
        r = import_it(host, "foreign", *MIRROR["args"], *args)
        equal(r.code, 1, f"another key: {r}")
        expect("mmdebstrap failed: " in r.why, r.why)
        expect("NO_PUBKEY" in r.why or "not signed" in r.why, r.why)
        nothing_of(host, "foreign")


def threat_26_a_package_that_was_changed_is_refused(host):
    bad = host.dir / "bad"
    shutil.copytree(MIRROR["place"], bad)
    package = next((bad / "pool").glob("base-files_*.deb"))
    data = bytearray(package.read_bytes())
    data[-1] ^= 1
    package.write_bytes(data)
    args = ("--debian=small", "--mirror", f"copy://{bad}", "--keyring", MIRROR["key"])
    r = import_it(host, "changed", *args)
    equal(r.code, 1, f"a changed package: {r}")
    expect("mmdebstrap failed: " in r.why and "Hash Sum mismatch" in r.why, r.why)
    nothing_of(host, "changed")


def test_interrupted_it_leaves_nothing(host):
    p = host.spawn("template", "import", "cut", *MIRROR["args"], "--keyring", MIRROR["key"])
    until(lambda: list(pathlib.Path("/var/tmp").glob("qube-debian.*")), "it is under way")
    for line in p.stderr:
        if b"extracting" in line:
            break
    p.send_signal(signal.SIGTERM)
    out, err = p.communicate(timeout=60)
    equal(p.returncode, 130, f"{out!r} {err!r}")
    nothing_of(host, "cut")


def test_a_minimal_system_becomes_a_template_that_runs(host):
    args = (*MIRROR["args"], "--keyring", MIRROR["key"], "--include=adduser,debconf")
    r = import_it(host, "small", *args)
    equal(r.code, 0, f"import: {r}")
    expect("| I: installing essential packages" in r.why, "its progress is told")
    nothing_of(host, "none")
    host.ok("create", "app", "--template", "small")
    script = "id -un; dpkg-query -W -f '${Package}\\n' apt adduser; cat /etc/debian_version"
    lines = host.sh_ok("app", script).text.split("\n")
    equal(lines[:3], ["user", "adduser", "apt"], "inside")
    expect(lines[3].startswith("12"), f"its version: {lines}")
    host.ok("shutdown", "app")


main(globals(), setup)
