#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Places of libqube/base/fault.h: faults.py BIN dies|fails [NUMBER...], or early. An operation
reaches the place; a process is killed with -9 there, or the step behind it fails as on a full or
broken disk. The host goes on or comes back. What was done is then whole or not there at all, and
the host cannot be told from one where nothing happened."""

import contextlib
import errno
import functools
import json
import mmap
import os
import pathlib
import re
import signal
import struct
import sys

from harness import Host, cgroup_root, children, command_line, equal, expect, gone, main, until
from harness import program_dir, status_of

TABLE = pathlib.Path(__file__).parents[2] / "libqube/base/fault.h"
ROW = re.compile(r"^\tX\((\d+), ([A-Z_]+), (DIES|FAILS)\)", re.M)
ROWS = ROW.findall(TABLE.read_text(encoding="ascii"))
POINTS = {int(n): name for n, name, _ in ROWS}
FAILING = [int(n) for n, _, how in ROWS if how == "FAILS"]
# One for each place, in turn.
ERRORS = [errno.ENOSPC, errno.EIO, errno.ENOMEM]

# What is done, and who is killed there: each on its own.
PLAN = {
    "START_BEGUN": ("start", "qubed broker"),
    "START_VOLUMES": ("start", "qubed"),
    "START_CREATED": ("start", "qubed box"),
    "GROUP_MADE": ("start", "qubed"),
    "START_HELD": ("start", "qubed box broker"),
    "START_RUNNING": ("start", "qubed box agent broker"),
    "START_UP": ("start", "qubed box agent broker"),
    "BOX_SPEC": ("start", "qubed launcher"),
    "BOX_SCRATCH": ("start", "qubed launcher"),
    "BOX_BORN": ("start", "qubed launcher box"),
    "BOX_TREES": ("start", "qubed launcher box"),
    "BOX_ROOT": ("start", "qubed launcher box"),
    "BOX_JAILED": ("start", "qubed launcher box"),
    "BOX_RUN": ("start", "qubed box"),
    "AGENT_BEGUN": ("start", "self"),
    "AGENT_EXEC": ("call", "self"),
    "BROKER_GUEST": ("start", "qubed broker box"),
    "BROKER_CALL": ("call", "qubed broker agent box"),
    "STOP_ASKED": ("stop", "qubed box agent broker"),
    "STOP_KILLED": ("kill", "qubed broker"),
    "STOP_GONE": ("stop", "qubed broker"),
    "STOP_SETTLED": ("stop", "qubed"),
    "COMMIT_SAID": ("commit", "qubed"),
    "COMMIT_MOVED": ("commit", "qubed"),
    "COMMIT_DONE": ("commit", "qubed worker"),
    "WORKER_SYNC": ("commit", "qubed worker"),
    "CREATE_DEFINED": ("create", "qubed"),
    "CREATE_VOLUMES": ("create", "qubed"),
    "REMOVE_DEFINED": ("remove", "qubed"),
    "REMOVE_TRASHED": ("remove", "qubed worker"),
    "CLONE_DEFINED": ("clone", "qubed"),
    "CLONE_PLACED": ("clone", "qubed"),
    "WORKER_COPY": ("clone", "qubed worker"),
    "IMPORT_LAYER": ("import", "qubed"),
    "IMPORT_VOLUME": ("import", "qubed"),
    "STORE_WRITTEN": ("set", "qubed"),
    "STORE_RENAMED": ("set", "qubed"),
    "OPEN_RECOVERED": ("open", "qubed"),
    "WORKER_FLATTEN": ("merge", "qubed merger"),
    "FLATTEN_LAYER": ("merge", "qubed"),
}


class Arming:
    """The file that our programs of this build look at."""

    def __init__(self, bin_dir):
        path = bin_dir / "fault"
        if not path.exists() or path.stat().st_size != 16:
            path.write_bytes(bytes(16))
        path.chmod(0o644)
        inside = bin_dir / "guest/fault"
        if not inside.exists():
            inside.hardlink_to(path)
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 16)

    def arm(self, number, error=0):
        self.map[4:12] = bytes(8)
        self.map[12:16] = struct.pack("=I", error)
        self.map[:4] = struct.pack("=I", number)

    def reached(self):
        return struct.unpack("=I", self.map[4:8])[0]

    def release(self):
        self.map[:4] = bytes(4)
        self.map[8:12] = struct.pack("=I", 1)


# --- operations: before, the command, and what must hold after ---


class Operation:
    def __init__(self, host):
        self.host = host
        self.n = 0

    def before(self):
        pass

    def command(self):
        raise NotImplementedError

    def check(self, done, role):
        """The old state or the new one; the new one if it was said to be done."""

    def after(self):
        """Back to how it was found."""


class Start(Operation):
    def command(self):
        return "start", "work"

    def check(self, done, role):
        state = self.host.state_of("work")
        expect(state in ("Halted", "Running"), f"state {state}")
        if done and role not in ("box", "qubed"):
            equal(state, "Running", "what was said to run")


class Call(Operation):
    def before(self):
        self.host.ok("start", "work")

    def command(self):
        return "run", "work", "--", "exit 7"


class Stop(Start):
    def before(self):
        self.host.ok("start", "work")

    def command(self):
        return "shutdown", "work"

    def check(self, done, role):
        if done:
            equal(self.host.state_of("work"), "Halted", "what was said to be stopped")


class Kill(Stop):
    def command(self):
        return "kill", "work"


class Commit(Operation):
    def before(self):
        self.n += 1
        self.host.sh_ok("tpl", f"echo {self.n} >/etc/mark", "root")

    def command(self):
        return "shutdown", "tpl"

    def check(self, done, role):
        seen = self.host.sh_ok("app", "cat /etc/mark").text
        expect(seen in (str(self.n - 1), str(self.n)), f"content {seen}")
        if done:
            equal(seen, str(self.n), "what was said to be kept")
        # What was written is with the template in any case; its next stop keeps it.
        equal(self.host.sh_ok("tpl", "cat /etc/mark").text, str(self.n), "the template's own")
        self.host.ok("shutdown", "tpl", "app")
        equal(self.host.sh_ok("app", "cat /etc/mark").text, str(self.n), "after the next stop")


class Merge(Commit):
    """A commit that makes one layer more than a template should have."""

    def layers(self):
        text = (self.host.state / "pools/default/volumes/tpl/root.vol").read_text()
        return len(re.search(r"^revision \d+ \d+ (.*)$", text, re.M).group(1).split())

    def before(self):
        while self.layers() < 12:
            super().before()
            self.host.ok("shutdown", "tpl")
        super().before()

    def check(self, done, role):
        super().check(done, role)
        if role in ("merger", "error"):  # the next commit begins another
            super().before()
            self.host.ok("shutdown", "tpl")
        until(lambda: self.layers() < 4, "the layers are merged", 20)
        equal(self.host.sh_ok("app", "cat /etc/first").text, "1", "what is below")
        self.host.ok("shutdown", "app")


class Create(Operation):
    args = ("create", "new", "--class", "StandaloneVM", "--template", "tpl")

    def command(self):
        return self.args

    def check(self, done, role):
        there = "new" in self.host.qubes()
        if done:
            expect(there, "what was said to be made is not there")
        if there:
            equal(self.host.sh("new", "cat /etc/first").text, "1", "what it was made from")
            self.host.ok("shutdown", "new")
            self.host.ok("rm", "new")
        self.host.ok(*self.args)
        equal(self.host.sh("new", "exit 5").code, 5, "the name can be used again")

    def after(self):
        self.host.ok("shutdown", "new")
        self.host.ok("rm", "new")


class Remove(Operation):
    def before(self):
        self.host.create("old")
        self.host.sh_ok("old", "echo 1 >kept")
        self.host.ok("shutdown", "old")

    def command(self):
        return "rm", "old"

    def check(self, done, role):
        if "old" not in self.host.qubes():
            self.host.create("old")
            equal(self.host.sh("old", "cat kept").code, 1, "its volume was left to another")
            self.host.ok("shutdown", "old")
        else:
            expect(not done, "it was said to be removed")
            equal(self.host.sh("old", "cat kept").text, "1", "the file of what is not removed")
            self.host.ok("shutdown", "old")
        self.host.ok("rm", "old")


class Clone(Operation):
    def command(self):
        return "clone", "tpl", "copy"

    def check(self, done, role):
        if done:
            expect("copy" in self.host.qubes(), "what was said to be cloned is not there")
        if "copy" in self.host.qubes():
            equal(self.host.sh("copy", "cat /etc/first").text, "1", "of the root")
            equal(self.host.sh("copy", "cat /home/user/kept").text, "1", "of the home")
            self.host.ok("shutdown", "copy")
            self.host.ok("rm", "copy")


class Import(Operation):
    def command(self):
        return "template", "import", "other", "--yes", "--quiet"

    def check(self, done, role):
        if done:
            expect("other" in self.host.qubes(), "what was said to be imported is not there")
        if "other" in self.host.qubes():
            self.host.ok("rm", "other")


class Set(Operation):
    def command(self):
        self.n += 1
        return "prefs", "work", "label", ("green", "blue")[self.n % 2]

    def check(self, done, role):
        got = self.host.qubes()["work"]["label"]
        new = ("green", "blue")[self.n % 2]
        expect(got in ("red", "green", "blue"), f"label {got}")
        if done:
            equal(got, new, "what was said to be set")
        self.host.ok("prefs", "work", "label", "red")


OPERATIONS = {
    "start": Start,
    "call": Call,
    "stop": Stop,
    "kill": Kill,
    "commit": Commit,
    "merge": Merge,
    "create": Create,
    "remove": Remove,
    "clone": Clone,
    "import": Import,
    "set": Set,
}


# --- what a host is, from outside ---


def groups():
    root = cgroup_root()
    return {str(p) for p in pathlib.Path(root).rglob("qube-*")} if root else set()


def strays(host):
    """Processes of our programs that are not this qubed's."""
    ours = set(children(host.pid)) | {host.pid}
    found = set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in ours:
            continue
        try:
            exe = os.readlink(f"/proc/{entry}/exe")
        except OSError:
            continue
        if exe.startswith(f"{host.bin}/") and not gone(int(entry)):
            found.add(f"{entry} {exe}")
    return found


def snapshot(host):
    files = set()
    for top in (host.state, host.run_dir):
        for at, dirs, names in os.walk(top):
            if at == str(host.state / "pools/default"):
                dirs.remove("layers")
            if "/volumes/" in at and at.endswith("/private"):
                dirs.clear()
                continue
            files |= {os.path.join(at, n) for n in dirs + names}
    files = {f for f in files if not f.startswith(str(host.run_dir / "log"))}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
        mounts = {line.split()[4] for line in f if line.split()[4].startswith(str(host.dir))}
    ours = [command_line(p)[:2] for p in children(host.pid) if not host.is_worker(p)]
    return {
        "files": files,
        "mounts": mounts,
        "groups": groups(),
        "strays": strays(host),
        "processes": {b" ".join(c).decode(errors="replace") for c in ours},
    }


def same(host, clean, seconds=10):
    """Nothing is there that was not, and nothing is missing."""
    diff = {}

    def equals():
        now = snapshot(host)
        diff.clear()
        for kind, had in clean.items():
            if now[kind] != had:
                diff[kind] = (sorted(now[kind] - had)[:8], sorted(had - now[kind])[:8])
        return not diff

    try:
        until(equals, "the host is as before", seconds)
    except AssertionError:
        raise AssertionError(f"more, and less, than before: {diff}") from None


def sound(host):
    """The invariants of what is on disk."""
    pool = host.state / "pools/default"
    qubes = set()
    for path in (host.state / "qubes").iterdir():
        equal(path.suffix, ".json", f"file {path}")
        equal(json.loads(path.read_text())["name"], path.stem, f"name in {path}")
        qubes.add(path.stem)
    json.loads((host.state / "system.json").read_text())
    owners = {p.name for p in (pool / "volumes").iterdir()}
    expect(owners <= qubes, f"volumes of no qube: {owners - qubes}")
    have = {p.name for p in (pool / "layers").iterdir()}
    listed = set()
    for path in (pool / "volumes").rglob("*/*.vol"):
        text = path.read_text()
        listed |= {i for i in have if i in text}
        for word in re.findall(r"[0-9a-f]{16,}", text):
            expect(word in have, f"{path} lists {word}, which is not there")
    equal(have - listed, set(), "layers that nothing lists")


# --- a place, and who dies there ---


def process(host, role):
    """The id of the process that plays a role now."""
    if role == "qubed":
        return host.pid
    if role == "broker":
        return host.broker()
    for pid in children(host.pid):
        line = command_line(pid)[:1]
        if role == "worker" and host.is_worker(pid):
            return pid
        if role == "merger" and b"--layers" in command_line(pid):
            return pid
        if role == "agent" and line == [b"qube-agent"]:
            return pid
        if role in ("box", "launcher") and line == [b"qube-box"]:
            inside = len(status_of(pid)["NSpid"].split()) > 1
            if inside == (role == "box"):
                return pid
    raise AssertionError(f"there is no {role} at this place")


def reach(host, arming, number, begin, error=0):
    """Begins the operation and returns when the place is reached."""
    log = host.run_dir / "log/work"
    mark = f"fault {number} reached"
    seen = log.read_text(errors="replace").count(mark) if log.exists() else 0
    arming.arm(number, error)
    p = begin()
    until(
        lambda: arming.reached() == number
        or (log.exists() and log.read_text(errors="replace").count(mark) > seen),
        f"place {number} {POINTS[number]} is reached",
        20,
    )
    return p


def dies(host, arming, number, role, begin):
    """Returns whether the operation says that it was done."""
    p = reach(host, arming, number, begin)
    if role != "self":
        os.kill(process(host, role), signal.SIGKILL)
    arming.release()
    if role == "qubed":
        host.daemon.wait(10)
        host.start()
    if not p:
        return False
    p.communicate(timeout=40)
    return p.returncode == 0


def halt(host):
    running = [n for n, q in host.qubes().items() if q["state"] != "Halted" and n != "dom0"]
    if running:
        host.ok("kill", *running)
    until(
        lambda: all(q["state"] == "Halted" for n, q in host.qubes().items() if n != "dom0"),
        "all are halted",
    )


def wait_for_trash(host):
    trash = host.state / "pools/default/trash"
    until(lambda: not os.listdir(trash), "the trash is empty")


def furnish(host):
    host.create("work")
    host.ok("clone", "base", "tpl")
    host.sh_ok("tpl", "echo 1 >/etc/first; echo 0 >/etc/mark; echo 1 >/home/user/kept", "root")
    host.ok("shutdown", "tpl")
    host.ok("create", "app", "--template", "tpl")
    for name in ("work", "app"):
        host.sh_ok(name, "true")
    halt(host)
    wait_for_trash(host)


def reopen(host):
    """A qubed is killed, and its successor while it opens."""
    host.daemon.kill()
    host.daemon.wait(10)
    host.start(wait=False)


def threat_34_whoever_dies_at_a_place_the_host_is_whole(number):
    arming = Arming(program_dir())
    arming.release()
    name = POINTS[number]
    kind, roles = PLAN[name]
    with Host() as host:
        furnish(host)
        operation = OPERATIONS[kind](host) if kind in OPERATIONS else None
        clean = snapshot(host)
        for role in roles.split():
            try:
                if not operation:
                    dies(host, arming, number, role, lambda: reopen(host))
                else:
                    operation.before()
                    command = operation.command()
                    done = dies(host, arming, number, role, lambda c=command: host.spawn(*c))
                    operation.check(done, role)
                    operation.after()
                # Before anything starts, which would tidy up behind the dead.
                halt(host)
                same(host, clean)
                sound(host)
                equal(host.sh("work", "exit 7").code, 7, "a call")
                halt(host)
            except AssertionError as e:
                raise AssertionError(f"{role} killed at {name} ({number}): {e}") from None
            finally:
                arming.release()


def descriptors(host):
    """Of qubed and its broker; each worker that waits for the next job costs two."""
    workers = sum(1 for p in children(host.pid) if host.is_worker(p) and not gone(p))
    ours = len(os.listdir(f"/proc/{host.pid}/fd")) - 2 * workers
    return ours, len(os.listdir(f"/proc/{host.broker()}/fd"))


def namespaces(host):
    """Of all processes that qubed started, but not of workers."""
    found = set()
    for pid in children(host.pid):
        for kind in ("net", "mnt", "user") if not host.is_worker(pid) else ():
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
    return found


def fails(host, arming, number, begin):
    """Returns whether the operation says that it was done, though a step of it failed."""
    p = reach(host, arming, number, begin, ERRORS[number % len(ERRORS)])
    if not p:
        # It could not open; the next one can.
        until(lambda: host.daemon.poll() is not None, "qubed ends")
        expect(host.daemon.returncode != 0, "a qubed that could not open says so")
        arming.release()
        host.start()
        return False
    # An agent that fails is started again, and fails again.
    if POINTS[number] == "AGENT_BEGUN":
        p.wait(60)
    arming.release()
    out, err = p.communicate(timeout=60)
    expect(p.returncode >= 0, f"the command died: {p.returncode} {out} {err}")
    expect(p.returncode == 0 or err, "it failed without a word")
    return p.returncode == 0


def threat_20_a_step_that_fails_leaves_nothing(number):
    arming = Arming(program_dir())
    arming.release()
    name = POINTS[number]
    kind = PLAN[name][0]
    with Host() as host:
        furnish(host)
        operation = OPERATIONS[kind](host) if kind in OPERATIONS else None
        clean = snapshot(host)
        open_before = descriptors(host)
        spaces = namespaces(host)
        daemon = host.pid
        try:
            if not operation:
                fails(host, arming, number, lambda: reopen(host))
            else:
                operation.before()
                command = operation.command()
                done = fails(host, arming, number, lambda: host.spawn(*command))
                equal(host.pid, daemon, "qubed goes on")
                operation.check(done, "error")
                operation.after()
            halt(host)
            # A whole template may have to be removed first.
            same(host, clean, 40)
            sound(host)
            equal(host.sh("work", "exit 7").code, 7, "a call")
            halt(host)
            same(host, clean)
            if operation:
                until(lambda: descriptors(host) == open_before, f"descriptors, {open_before}")
                equal(namespaces(host), spaces, "namespaces")
        except AssertionError as e:
            raise AssertionError(f"{name} ({number}) failed: {e}") from None
        finally:
            arming.release()


# --- a disposable whose box is made while its home is copied ---


class Early:
    """The worker stands in front of the copy; the box is there and waits."""

    def __init__(self, host, arming, error=0):
        self.host = host
        self.arming = arming
        self.before = set(host.qubes())
        self.p = reach(host, arming, 31, self.begin, error)
        if not error:
            until(self.launcher, "a box waits")

    def begin(self):
        return self.host.spawn("run", "--disposable=dvm", "--", "exit 7")

    def launcher(self):
        with contextlib.suppress(AssertionError):
            return process(self.host, "launcher")

    def name(self):
        return (set(self.host.qubes()) - self.before).pop()

    def ends(self, code=None):
        _, err = self.p.communicate(timeout=30)
        if code is None:
            expect(self.p.returncode > 0 and err, f"it says how it ended: {self.p.returncode}")
        else:
            equal(self.p.returncode, code, f"exit status, {err}")
        return err.decode()


def early_goes_on(host, arming):
    e = Early(host, arming)
    arming.release()
    e.ends(7)


def threat_20_early_is_killed(host, arming):
    e = Early(host, arming)
    killer = host.spawn("kill", e.name())
    until(lambda: not e.launcher(), "the box is gone")
    arming.release()
    e.ends()
    killer.communicate(timeout=30)


def threat_20_early_loses_its_box(host, arming):
    e = Early(host, arming)
    os.kill(e.launcher(), signal.SIGKILL)
    until(lambda: not e.launcher(), "the box is gone")
    arming.release()
    expect("copied" not in e.ends(), "it says what ended")


def threat_20_early_is_copied_in_vain(host, arming):
    Early(host, arming, errno.ENOSPC).ends()


def threat_20_early_hears_of_both_at_once(host, arming):
    """Its box ended, and then the copy: both are told in one turn of the loop."""
    e = Early(host, arming)
    worker = process(host, "worker")
    os.kill(worker, signal.SIGSTOP)
    arming.arm(39)
    killer = host.spawn("kill", e.name())
    until(lambda: arming.reached() == 39, "the box is told to end")
    os.kill(host.pid, signal.SIGSTOP)
    try:
        until(lambda: not e.launcher(), "the box is gone")
        arming.release()
        os.kill(worker, signal.SIGCONT)
        until(lambda: status_of(worker)["State"].startswith("S"), "the worker is done")
    finally:
        os.kill(host.pid, signal.SIGCONT)
    e.ends()
    killer.communicate(timeout=30)


def whole(one):
    """Nothing is left, and nothing is missing."""
    arming = Arming(program_dir())
    arming.release()
    with Host() as host:
        furnish(host)
        host.create("dvm", "-p", "template_for_dispvms=True")
        host.sh_ok("dvm", "echo 1 >kept")
        halt(host)
        early_goes_on(host, arming)
        wait_for_trash(host)
        clean = snapshot(host)
        open_before = descriptors(host)
        try:
            one(host, arming)
            same(host, clean, 15)
            sound(host)
            until(lambda: descriptors(host) == open_before, f"descriptors, {open_before}")
            early_goes_on(host, arming)
        finally:
            arming.release()


EARLY = [
    threat_20_early_is_killed,
    threat_20_early_loses_its_box,
    threat_20_early_is_copied_in_vain,
    threat_20_early_hears_of_both_at_once,
]


MODES = {
    "dies": threat_34_whoever_dies_at_a_place_the_host_is_whole,
    "fails": threat_20_a_step_that_fails_leaves_nothing,
}


def tests():
    mode = sys.argv[2]
    if mode == "early":
        del sys.argv[2:]
        return {f.__name__: functools.wraps(f)(functools.partial(whole, f)) for f in EARLY}
    numbers = [int(a) for a in sys.argv[3:]] or (FAILING if mode == "fails" else list(POINTS))
    del sys.argv[2:]
    expect(set(PLAN) == set(POINTS.values()), "the plan has each place")

    def one(number):
        def test():
            MODES[mode](number)

        test.__name__ = f"test_{number:02}_{POINTS[number].lower()}"
        return test

    return {t.__name__: t for t in map(one, numbers)}


if __name__ == "__main__":
    main(tests())
