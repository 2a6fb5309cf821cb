#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a qube may use of the machine: every limit is filled from inside. Where the machine has
the controllers the limit must hold, where it has not the qube's listing must say so."""

import ctypes
import os
import pathlib
import subprocess
import time

import harness
from harness import Host, Skip, equal, expect, until

GROUP = "libqube-limits-test"

PIDS = r"""
import os, signal, sys, time
n = 0
try:
    for n in range(8000):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
except OSError as e:
    print(n, e.errno)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.killpg(0, signal.SIGTERM)
"""

FILL = r"""
import errno, os, sys
def fill(place):
    n = 0
    try:
        with open(place + "/fill", "wb", buffering=0) as f:
            while n < 1 << 30:
                n += f.write(bytes(1 << 20))
    except OSError as e:
        assert e.errno == errno.ENOSPC, e
        return n
    finally:
        os.unlink(place + "/fill")
    return -1
def inodes(place):
    n = 0
    os.mkdir(place + "/many")
    try:
        while n < 200000:
            os.mknod(f"{place}/many/{n}")
            n += 1
        return -1
    except OSError as e:
        assert e.errno == errno.ENOSPC, e
        return n
    finally:
        for i in range(n):
            os.unlink(f"{place}/many/{i}")
        os.rmdir(place + "/many")
for place in sys.argv[1:]:
    print(place, fill(place), inodes(place))
"""

WRITE = r"""
import mmap, os, sys, time
buf = mmap.mmap(-1, 1 << 20)
fd = os.open("/home/user/io", os.O_CREAT | os.O_RDWR | os.O_DIRECT)
begin = time.monotonic()
for n in range(8):
    os.pwrite(fd, buf, n << 20)
wrote = time.monotonic() - begin
begin = time.monotonic()
for n in range(8):
    os.preadv(fd, [buf], n << 20)
print(wrote, time.monotonic() - begin)
"""

EAT = "x = bytearray(400 << 20)\nprint(len(x))\n"

HOLD = r"""
import sys, time
x = bytearray(int(sys.argv[1]) << 20)
for i in range(0, len(x), 4096):
    x[i] = 1
print("held", flush=True)
time.sleep(120)
"""

BURN = r"""
import resource, time
end = time.monotonic() + 3
while time.monotonic() < end:
    pass
u = resource.getrusage(resource.RUSAGE_SELF)
print(u.ru_utime + u.ru_stime)
"""


class Own(Host):
    """qubed alone in a group of its own, as systemd's Delegate= gives it."""

    def daemon_args(self):
        args = super().daemon_args()
        root = harness.cgroup_root()
        if not root:
            return args
        group = pathlib.Path(root, GROUP)
        group.mkdir(exist_ok=True)
        return ["sh", "-c", f'echo 0 >"{group}/cgroup.procs" && exec "$@"', "sh", *args]

    def close(self):
        super().close()
        root = harness.cgroup_root()
        for name in (f"{GROUP}/libqube-host", GROUP):
            if root and os.path.exists(f"{root}/{name}"):
                until(lambda at=f"{root}/{name}": rmdir(at), f"{name} is empty")


def rmdir(path):
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def controllers():
    root = harness.cgroup_root()
    return pathlib.Path(root, "cgroup.controllers").read_text().split() if root else []


def unenforced(host, name):
    return host.qubes()[name]["unenforced"].split()


def smt():
    path = pathlib.Path("/sys/devices/system/cpu/smt/active")
    return path.exists() and path.read_text() == "1\n"


def core_cookie(pid):
    """None: no core has two threads, or the kernel cannot keep them apart."""
    cookie = ctypes.c_ulonglong(0)
    # PR_SCHED_CORE, PR_SCHED_CORE_GET of a thread
    r = ctypes.CDLL(None, use_errno=True).prctl(62, 0, pid, 0, ctypes.byref(cookie))
    return cookie.value if r == 0 else None


def need(controller):
    if controller not in controllers():
        raise Skip(f"no cgroup v2 controller {controller} on this machine")


def setup(host):
    for name in ("one", "two"):
        host.create(name, "-p", "memory=256", "-p", "maxmem=256", "-p", "vcpus=1")
        host.ok("start", name)


def threat_33_what_is_not_limited_is_listed_and_nothing_else(host):
    have = controllers()
    want = [n for n, c in (("memory", "memory"), ("vcpus", "cpu")) if c not in have] + ["disk"]
    if core_cookie(0) is None and smt():
        want.append("core-sched")
    equal(unenforced(host, "one"), want, "what is not enforced")


def threat_33_processes_end_at_the_limit_and_only_inside(host):
    r = host.python("one", PIDS, timeout=90)
    words = r.text.split()
    expect(len(words) == 2 and words[1] == "11", f"forking did not end with EAGAIN: {r}")
    expect(3000 < int(words[0]) <= 4096, f"{words[0]} processes, the limit is 4096")
    print(f"measured: {words[0]} processes, then EAGAIN")
    equal(host.sh_ok("two", "echo well").text, "well", "the other qube")


def threat_33_every_tmpfs_ends_in_bytes_and_in_inodes(host):
    # Less than the memory that is allowed, so that the file system is what says no.
    for place, most in (("/run", 64 << 20), ("/dev", 1 << 20)):
        got = host.python_ok("two", FILL, place, user="root").text.split()
        expect(0 <= int(got[1]) <= most, f"{place} took {got[1]} bytes, allowed are {most}")
        expect(0 <= int(got[2]) <= most // 4096 + 64, f"{place} took {got[2]} inodes")
        print(f"measured: {place} {got[1]} bytes, {got[2]} inodes")


def own(host):
    """A qube with limits of its own."""
    if "own" in host.qubes():
        return
    host.create("own", "-p", "maxmem=256")
    host.ok("features", "own", "local.pids-max", "100")
    host.ok("features", "own", "local.io-write-max", "2M")
    host.ok("features", "own", "local.io-read-max", "4M")
    host.ok("volume", "set", "own", "volatile", "size", "8M")
    host.ok("start", "own")


def threat_33_a_qube_has_as_many_processes_as_it_is_given(host):
    own(host)
    r = host.python("own", PIDS, timeout=90)
    words = r.text.split()
    expect(len(words) == 2 and words[1] == "11", f"forking did not end with EAGAIN: {r}")
    expect(50 < int(words[0]) <= 100, f"{words[0]} processes, the limit is 100")
    print(f"measured: {words[0]} processes of 100, then EAGAIN")


def threat_33_the_volatile_volume_ends_at_its_size(host):
    own(host)
    got = host.python_ok("own", FILL, "/tmp", user="root").text.split()
    expect(7 << 20 <= int(got[1]) <= 8 << 20, f"/tmp of 8 MiB took {got[1]} bytes")
    print(f"measured: /tmp of 8 MiB took {got[1]} bytes and {got[2]} inodes")


def threat_33_a_disk_is_not_faster_than_allowed(host):
    own(host)
    if "io" not in controllers():
        expect("io" in unenforced(host, "own"), f"io is not listed: {unenforced(host, 'own')}")
        raise Skip("no cgroup v2 controller io on this machine; it is listed")
    expect("io" not in unenforced(host, "own"), "io is listed though there is a controller")
    wrote, read = map(float, host.python_ok("own", WRITE, user="root", timeout=90).text.split())
    fast = host.python_ok("two", WRITE, user="root", timeout=90).text
    expect(3 < wrote < 8, f"8 MiB at 2 MiB/s took {wrote} s")
    expect(1.5 < read < 6, f"8 MiB at 4 MiB/s took {read} s")
    print(f"measured: 8 MiB written in {wrote:.1f} s, read in {read:.1f} s; unlimited: {fast}")


def threat_33_a_limit_that_is_no_number_is_refused(host):
    host.create("odd")
    for name, value in (
        ("local.pids-max", "many"),
        ("local.pids-max", "3"),
        ("local.pids-max", "99999999999999999999"),
        ("local.io-write-max", "2MB"),
        ("local.io-read-max", ""),
    ):
        host.ok("features", "odd", name, value)
        r = host.qube("start", "odd")
        equal(r.code, 1, f"start with {name}={value}")
        expect(name in r.why and "odd" in r.why, f"does not name it: {r}")
        host.ok("features", "odd", "--unset", name)
    host.ok("start", "odd")


def threat_33_memory_runs_out_in_that_qube_alone(host):
    need("memory")
    kept = host.spawn("run", "two", "--", "sleep 2; echo kept", stdin=subprocess.DEVNULL)
    r = host.python("one", EAT, timeout=60)
    expect(r.code != 0 and b"419430400" not in r.out, f"400 MiB of 256: {r}")
    out, _ = kept.communicate(timeout=30)
    equal(out, b"kept\n", "what ran in the other qube meanwhile")
    equal(host.sh_ok("one", "echo again").text, "again", "the same qube after that")
    kills = oom_kills("one")
    expect(kills > 0 and oom_kills("two") == 0, f"{kills} killed in one, {oom_kills('two')} in two")
    print(f"measured: {kills} killed in the qube that took too much, 0 in the other")


def group_of(name):
    found = list(pathlib.Path(harness.cgroup_root(), GROUP).glob(f"qube-{name}-*"))
    equal(len(found), 1, f"groups of {name}")
    return found[0]


def oom_kills(name):
    text = (group_of(name) / "memory.events").read_text()
    return int(dict(line.split() for line in text.splitlines())["oom_kill"])


def high_of(name):
    return int((group_of(name) / "memory.high").read_text())


def test_memory_goes_where_it_is_needed(host):
    """Two that may each have more than there is: the one that uses more may use more."""
    need("memory")
    for name in ("needs", "idles"):
        host.create(name, "-p", "memory=100", "-p", "maxmem=3000")
        host.ok("start", name)
    # At first all that it may ever have; then a share of what there is.
    start = 3000 << 20
    before = until(
        lambda: [h for h in [(high_of("needs"), high_of("idles"))] if max(h) < start * 2 // 3],
        "shares of what there is",
    )[0]
    eater = host.spawn("run", "needs", "--", "exec python3 - 300", stdin=subprocess.PIPE)
    eater.stdin.write(HOLD.encode())
    eater.stdin.close()
    after = until(
        lambda: [
            h
            for h in [(high_of("needs"), high_of("idles"))]
            if h[0] > before[0] + (20 << 20) and h[1] < before[1] - (20 << 20)
        ],
        f"a move of memory from {before}",
        60,
    )[0]
    expect(after[0] > after[1], f"what uses more may not use more: {before}, {after}")
    expect(after[1] >= 100 << 20, f"below its minimum: {after}")
    equal(eater.poll(), None, "what took the memory")
    equal(oom_kills("needs") + oom_kills("idles"), 0, "killed")
    eater.kill()
    for name in ("needs", "idles"):
        host.ok("kill", name)
    print("measured: memory.high in MiB", [n >> 20 for n in before], [n >> 20 for n in after])


def test_no_core_is_shared_with_another_qube(host):
    """Every process of a qube has its cookie, no other has it, and no program makes itself one."""
    if core_cookie(0) is None:
        raise Skip("no core scheduling here")
    run = host.spawn("run", "one", "--", "echo on; sleep 60", stdin=subprocess.DEVNULL)
    equal(run.stdout.readline(), b"on\n", "a program")
    cookies = {}
    for name in ("one", "two"):
        pids = (group_of(name) / "cgroup.procs").read_text().split()
        expect(len(pids) > 1, f"processes of {name}: {pids}")
        cookies[name] = {core_cookie(int(p)) for p in pids}
        equal(len(cookies[name]), 1, f"cookies of {name}")
    run.kill()
    expect(0 not in cookies["one"] | cookies["two"], f"none: {cookies}")
    expect(cookies["one"] != cookies["two"], f"the same: {cookies}")
    equal(core_cookie(0), 0, "the host's own")
    r = host.python_ok(
        "one", "import ctypes\nprint(ctypes.CDLL(None).prctl(62, 1, 0, 1, 0))", user="root"
    )
    equal(r.text, "-1", "a cookie of the guest's own making")
    host.create("any")
    host.ok("features", "any", "local.core-sched", "off")
    host.ok("start", "any")
    pids = (group_of("any") / "cgroup.procs").read_text().split()
    equal({core_cookie(int(p)) for p in pids}, {0}, "a qube with the feature off")
    host.ok("kill", "any")


def threat_33_a_qube_has_its_processors_and_no_more(host):
    need("cpu")
    begin = time.monotonic()
    runs = [
        host.spawn("run", "one", "--", "exec python3 -", stdin=subprocess.PIPE) for _ in range(2)
    ]
    for p in runs:
        p.stdin.write(BURN.encode())
        p.stdin.close()
        p.stdin = None
    used = sum(float(p.communicate(timeout=60)[0]) for p in runs)
    took = time.monotonic() - begin
    expect(used <= took * 1.15, f"{used:.2f} s of processor in {took:.2f} s with one vcpu")
    print(f"measured: two busy processes, one vcpu: {used:.2f} s of processor in {took:.2f} s")


def main():
    reason = harness.why_not()
    if reason:
        print(f"SKIP: limits.py: {reason}")
        raise SystemExit(harness.SKIPPED)
    s = harness.Scenario(globals())
    with Own() as host:
        setup(host)
        for test in s.tests:
            s.one(test, host)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**s.counts))
    raise SystemExit(1 if s.counts["failed"] or not s.counts["passed"] else 0)


main()
