#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input and a bad machine: a second host, a full disk, a kernel that lacks something, damaged
files, canaries of the host. Each ends in a clear message with nothing lost."""

import contextlib
import json
import os
import pathlib
import subprocess

from disks import disk
from harness import Host, Skip, equal, expect, main, program_dir, until

NOBODY = 65534


def embedded(folder, *args):
    return [
        str(program_dir() / "qube"),
        "--embedded",
        "--state-dir",
        f"{folder}/s",
        "--run-dir",
        f"{folder}/r",
        "--policy-root",
        f"{folder}/p",
        *args,
    ]


def test_a_second_qubed_on_the_same_state_is_refused():
    with Host() as host:
        host.create("work")
        host.sh_ok("work", "true")
        other = host.dir / "other"
        done = subprocess.run(
            [
                host.bin / "qubed",
                "--state-dir",
                host.state,
                "--run-dir",
                other / "run",
                "--policy-root",
                host.policy_root,
                "--socket",
                other / "sock",
            ],
            capture_output=True,
            timeout=20,
            check=False,
        )
        equal(done.returncode, 1, f"exit status: {done.stderr!r}")
        expect(
            str(host.state).encode() in done.stderr, f"does not name the folder: {done.stderr!r}"
        )
        done = subprocess.run(host.daemon_args(), capture_output=True, timeout=20, check=False)
        equal(done.returncode, 1, f"exit status on the same socket: {done.stderr!r}")
        equal(host.sh("work", "exit 6").code, 6, "the first one's qube")


def threat_33_a_full_disk_is_said_and_nothing_is_lost():
    host = Host(template=False)
    with disk(host, 60), host:
        r = host.qube("template", "import", "base", "--yes", "--quiet")
        equal(r.code, 1, "an import that does not fit")
        expect("MiB" in r.why and "60.0" in r.why, f"does not tell the sizes: {r}")
        equal(list(host.qubes()), ["dom0"], "qubes")
        pool = host.state / "pools/default"
        equal(
            [list(os.scandir(pool / d)) for d in ("layers", "tmp", "volumes")],
            [[], [], []],
            "rests",
        )
    host = Host(template=False)
    with disk(host, 320), host:
        host.ok("template", "import", "base", "--yes", "--quiet")
        host.create("work")
        host.sh_ok("work", "echo kept >kept")
        r = host.sh("work", "cat /dev/zero >big; ls -l big | wc -l")
        expect("No space left" in r.why, f"from inside: {r}")
        expect(os.statvfs(host.state).f_bavail < 256, "the disk is not full")
        for args in (
            ("create", "more", "--template", "base"),
            ("prefs", "work", "label", "green"),
            ("clone", "base", "twin"),
            ("template", "import", "again", "--yes", "--quiet"),
        ):
            r = host.qube(*args)
            equal(r.code, 1, f"{args} on a full disk: {r}")
            expect(
                any(t in r.why for t in ("No space", "space", "free")),
                f"{args} does not say why: {r}",
            )
        equal(sorted(host.qubes()), ["base", "dom0", "work"], "qubes")
        equal(host.sh("work", "cat kept").out, b"kept\n", "the file of the home")
        host.stop()
        host.start()
        equal(host.qubes()["work"]["label"], "red", "label after a restart")
        host.sh_ok("work", "rm big && cat kept")
        host.create("more")
        equal(host.sh("more", "exit 4").code, 4, "a new qube when there is room again")


def test_without_root_it_says_so():
    with Host(template=False) as host:
        host.dir.chmod(0o755)
        r = subprocess.run(
            embedded(host.dir / "nobody", "doctor"),
            capture_output=True,
            timeout=20,
            check=False,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
        )
        equal(r.returncode, 1, f"doctor: {r}")
        expect(b"not root" in r.stdout, f"doctor does not tell: {r}")
        home = pathlib.Path("/var/tmp") / f"qube-e2e-nobody-{os.getpid()}"
        home.mkdir()
        os.chown(home, NOBODY, NOBODY)
        try:
            for folder in ("p/policy.d", "p/run.d", "p/legacy"):
                (home / folder).mkdir(parents=True)
            r = subprocess.run(
                embedded(home, "--json", "run", "x", "--", "true"),
                capture_output=True,
                timeout=20,
                check=False,
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
            )
        finally:
            subprocess.run(["rm", "-rf", home], check=True, timeout=10)
        error = json.loads(r.stderr.splitlines()[-1])["error"]
        equal(error["name"], "QUBE_E_NOTSUP", f"error: {r}")
        expect("root" in error["message"], f"does not say why: {error}")
        # The socket is not for everybody either.
        done = subprocess.run(
            host.command("ls"),
            capture_output=True,
            timeout=20,
            check=False,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
        )
        expect(done.returncode == 1 and b"ermission" in done.stderr, f"a stranger: {done}")


def test_without_user_namespaces_it_says_so():
    """A user namespace of our own may forbid them without changing the machine."""
    with Host(template=False) as host:
        script = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'

        def inside(*command):
            return subprocess.run(
                [
                    "unshare",
                    "--user",
                    "--map-root-user",
                    "sh",
                    "-c",
                    script,
                    "-",
                    *map(str, command),
                ],
                capture_output=True,
                timeout=20,
                check=False,
            )

        r = inside(host.bin / "qube", "doctor")
        if b"unshare:" in r.stderr:
            raise Skip("cannot make a user namespace")
        equal(r.returncode, 1, f"doctor: {r}")
        expect(b"max_user_namespaces is 0" in r.stdout, f"doctor does not tell: {r}")
        home = host.dir / "inside"
        for folder in ("p/policy.d", "p/run.d", "p/legacy"):
            (home / folder).mkdir(parents=True)
        r = inside(*embedded(home, "--json", "run", "x", "--", "true"))
        error = json.loads(r.stderr.splitlines()[-1])["error"]
        equal(error["name"], "QUBE_E_NOTSUP", f"error: {r}")
        expect("the local driver cannot work" in error["message"], f"does not say why: {error}")


def test_damaged_definitions_are_left_alone_and_the_rest_works():
    with Host() as host:
        for name in ("work", "empty", "torn", "newer", "noise", "wrong"):
            host.create(name)
        host.sh_ok("work", "echo kept >kept")
        host.stop()
        folder = host.state / "qubes"
        good = json.loads((folder / "newer.json").read_text())
        damage = {
            "empty": b"",
            "torn": (folder / "torn.json").read_bytes()[:100],
            "newer": json.dumps({**good, "format": 4711}).encode(),
            "noise": bytes(range(256)) * 64,
            "wrong": b'{"format": 1, "name": "work"}',
        }
        for name, content in damage.items():
            (folder / f"{name}.json.new").write_bytes(content)
            (folder / f"{name}.json.new").rename(folder / f"{name}.json")
        host.start()
        qubes = host.qubes()
        expect({"base", "work"} <= set(qubes), f"sound ones are missing: {sorted(qubes)}")
        for name, content in damage.items():
            expect(name not in qubes, f"{name} was loaded")
            until(lambda n=name: f"'{n}'" in host.log(), f"the log names {name}")
            equal((folder / f"{name}.json").read_bytes(), content, f"file of {name}")
            equal(host.qube("create", name, "--template", "base").code, 1, f"create over {name}")
            equal((folder / f"{name}.json").read_bytes(), content, f"file of {name} afterwards")
            expect((host.state / "pools/default/volumes").exists(), "volumes")
        equal(host.sh("work", "cat kept").out, b"kept\n", "the sound one's file")


def test_a_damaged_system_file_is_no_empty_system():
    with Host() as host:
        host.create("work")
        host.stop()
        path = host.state / "system.json"
        good = path.read_bytes()
        path.write_bytes(b"{")
        host.start(wait=False)
        code = host.daemon.wait(20)
        host.daemon = None
        equal(code, 1, "exit status")
        expect("system.json" in host.log(), f"does not name the file: {host.log()[-500:]}")
        equal(path.read_bytes(), b"{", "the file")
        path.write_bytes(good)
        host.start()
        expect("work" in host.qubes(), "the qube")


def test_a_policy_folder_that_is_not_there_refuses_all():
    with Host() as host:
        host.create("work")
        host.sh_ok("work", "true")
        (host.policy_root / "policy.d").rename(host.policy_root / "away")
        host.stop()
        host.start()
        equal(host.call("work", "dom0", "admin.vm.List").code, 126, "call")
        equal(host.sh("work", "exit 3").code, 3, "the host's call")


def test_names_that_lead_elsewhere_are_refused():
    with Host() as host:
        for name in (
            "..",
            "a/b",
            "../../etc",
            "-x",
            "",
            "a" * 64,
            "dom0",
            "@dispvm",
            "none",
            "a b",
            "ä",
            "default",
            "a\nb",
        ):
            r = host.qube("create", "--template", "base", "--", name)
            expect(r.code in (1, 2), f"name {name!r}: {r}")
        equal(sorted(host.qubes()), ["base", "dom0"], "qubes")


def threat_17_nothing_of_the_host_s_own_is_in_an_imported_template():
    mark = f"canary-e2e-{os.getpid()}"
    places = [
        f"/etc/{mark}.conf",
        f"/etc/ssh/ssh_host_{mark}_key",
        f"/etc/ssl/private/{mark}.pem",
        f"/root/.{mark}",
        f"/root/.ssh/{mark}",
        f"/home/{mark}/.profile",
        f"/usr/local/bin/{mark}",
        f"/usr/local/etc/{mark}",
        f"/opt/{mark}/x",
        f"/srv/{mark}",
        f"/var/lib/{mark}/key",
        f"/var/log/{mark}.log",
        f"/etc/cron.d/{mark}",
        f"/etc/default/{mark}",
        f"/etc/skel/.{mark}",
        f"/usr/bin/{mark}",
        f"/usr/lib/{mark}.so",
        f"/tmp/{mark}",
        f"/etc/apt/auth.conf.d/{mark}.conf",
        f"/etc/qubes-rpc/{mark}",
        f"/boot/{mark}",
    ]
    made = []
    try:
        for place in map(pathlib.Path, places):
            for parent in reversed(place.parents):
                if not parent.exists():
                    parent.mkdir()
                    made.append(parent)
            place.write_text(f"secret {mark}\n")
            made.append(place)
        with Host(template=False) as host:
            host.ok("template", "import", "base", "--yes", "--quiet", timeout=120)
            layers = host.state / "pools/default/layers"
            done = subprocess.run(
                ["grep", "-rlF", mark, layers], capture_output=True, check=False, timeout=60
            )
            equal(done.stdout, b"", "files with the canary's text")
            found = [p for at, dirs, names in os.walk(layers) for p in dirs + names if mark in p]
            equal(found, [], "files with the canary's name")
            root = next(layers.iterdir())
            if not (root / "etc").exists():
                root = next(p.parent for p in root.rglob("etc") if p.is_dir())
            for path in (
                "etc/shadow",
                "etc/gshadow",
                "etc/machine-id",
                "etc/hostname",
                "etc/resolv.conf",
                "etc/hosts",
                "etc/fstab",
                "etc/passwd",
            ):
                theirs = root / path
                ours = pathlib.Path("/") / path
                if (
                    theirs.is_file()
                    and not theirs.is_symlink()
                    and theirs.stat().st_size
                    and ours.is_file()
                ):
                    expect(theirs.read_bytes() != ours.read_bytes(), f"/{path} is the host's own")
            shadow = (root / "etc/shadow").read_text() if (root / "etc/shadow").exists() else ""
            expect("$" not in shadow, "there is a password in the template")
            equal(
                list((root / "etc/ssh").glob("*_key")) if (root / "etc/ssh").exists() else [],
                [],
                "keys",
            )
            for folder in ("root", "home", "usr/local/bin", "var/log"):
                if (root / folder).exists():
                    equal(
                        [p for p in (root / folder).rglob("*") if p.is_file()],
                        [],
                        f"files of {folder}",
                    )
    finally:
        for place in reversed(made):
            with contextlib.suppress(OSError):
                if place.is_dir():
                    place.rmdir()
                else:
                    place.unlink()


main(globals())
