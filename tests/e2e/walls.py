#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The walls of a box, tried from inside by its root: descriptors, terminals, tracing, system calls,
channels, files, and shared quantities."""

import json
import os
import pathlib
import pty
import select
import stat
import subprocess
import time

from harness import (
    Result,
    Skip,
    command_line,
    children,
    equal,
    expect,
    main,
    nothing_left,
    status_of,
    until,
)

RAW = (pathlib.Path(__file__).parent / "guest_raw.py").read_text()

# Number, target and type of each descriptor that a program finds open, but for the listing's own.
LIST = """#!/usr/bin/python3
import json, os
found = {}
for n in sorted(map(int, os.listdir("/proc/self/fd"))):
    try:
        found[n] = os.readlink("/proc/self/fd/%d" % n)
    except OSError:
        pass
print(json.dumps({"fds": found, "cwd": os.getcwd(), "root": os.readlink("/proc/self/root"),
                  "groups": os.getgroups(), "tty": os.isatty(0)}))
"""


def setup(host):
    host.policy("""
demo.Fds     *  work   vault        allow
demo.Fds     *  work   @dispvm:dvm  allow
demo.Echo    *  work   vault        allow
demo.Attack  *  work   vault        allow
""")
    host.create("work")
    host.create("vault")
    host.create("dvm", "-p", "template_for_dispvms=True")
    host.ok("prefs", "work", "default_dispvm", "dvm")
    for name in ("vault", "dvm"):
        host.service(name, "demo.Fds", LIST)
    host.service("vault", "demo.Echo", "#!/bin/sh\nexec cat\n")
    host.sh_ok("work", "cat >list.py && mkdir -p /tmp/t", data=LIST.encode())
    host.ok("shutdown", "dvm")


def threat_14_every_way_in_brings_three_descriptors(host):
    rpc = "/run/qube/guest/qube-rpc"
    ways = {
        "run": host.sh_ok("work", "exec python3 list.py"),
        "run as root": host.sh_ok("work", "exec python3 /home/user/list.py", "root"),
        "call of the host": host.ok("call", "vault", "demo.Fds"),
        "call of a qube": host.sh_ok("work", rpc + " vault demo.Fds </dev/null"),
        "call of a disposable": host.sh_ok("work", rpc + " @dispvm demo.Fds </dev/null"),
        "disposable of the host": host.ok("call", "--disposable=dvm", "demo.Fds"),
        "command in a disposable": host.ok(
            "run", "--disposable=dvm", "--", "exec python3 -", data=LIST.encode()
        ),
    }
    p = host.spawn("run", "--pty", "work", "--", "exec python3 list.py")
    ways["pty"] = Result(0, p.stdout.read(), b"")
    p.communicate()
    equal(p.returncode, 0, "exit status with a pty")
    for way, r in ways.items():
        seen = json.loads(r.out)
        for n, target in seen["fds"].items():
            if n in ("0", "1", "2"):
                want = "/dev/pts/" if way == "pty" else "pipe:["
                expect(target.startswith(want) or target == "/dev/null", f"{way}: {n} is {target}")
            else:
                expect(target.startswith("/proc/"), f"{way}: {n} is {target}")
        expect(len(seen["fds"]) <= 4, f"{way}: {seen['fds']}")
        equal(seen["root"], "/", f"{way}: root")
    host.ok("run", "--detach", "work", "--", "python3 list.py >/home/user/detached")
    until(
        lambda: (host.home("work") / "detached").exists()
        and (host.home("work") / "detached").read_text(),
        "the detached one's list",
    )
    expect(len(json.loads((host.home("work") / "detached").read_text())["fds"]) <= 4, "detached")


def threat_14_the_boxes_own_processes_hold_nothing_of_the_host(host):
    """Seen from outside: what PID 1 and the agent have open."""
    box = host.box("work")
    for pid in [box] + children(box):
        for n in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{n}")
            except OSError:
                continue
            expect(not target.startswith(str(host.dir)), f"process {pid} has {target}")
            fine = target.startswith(
                (
                    "pipe:",
                    "socket:",
                    "anon_inode:",
                    "/dev/null",
                    "/memfd:",
                    "/proc/",
                    "/home/",
                    "/dev/pts",
                )
            )
            expect(fine or target.startswith("/"), f"process {pid} has {target}")
            if target.startswith("/") and not fine:
                there = os.stat(f"/proc/{pid}/fd/{n}")
                expect(
                    not stat.S_ISDIR(there.st_mode) or "cgroup" in target or target == "/",
                    f"process {pid} has the directory {target}",
                )


INJECT = """
import ctypes, fcntl, os, sys
libc = ctypes.CDLL(None, use_errno=True)
done = []
for request in (0x5412, 0x541c, 0x100005412, 0x10000541c, 0xffffffff00005412):
    for fd in (0, 1, 2):
        buffer = ctypes.create_string_buffer(b"!" if request & 0xffff == 0x5412 else b"\\x03", 8)
        r = libc.syscall(ctypes.c_long(16), ctypes.c_long(fd), ctypes.c_ulong(request), buffer)
        if r >= 0:
            done.append((hex(request), fd))
try:
    tty = os.open("/dev/tty", os.O_RDWR)
    if fcntl.ioctl(tty, 0x5412, b"!") >= 0:
        done.append(("/dev/tty", tty))
except OSError:
    pass
print("injected:", done)
"""


def threat_15_nothing_is_injected_into_a_terminal(host):
    host.sh_ok("work", "cat >inject.py", data=INJECT.encode())
    for how in ((), ("--pty",)):
        for user in ("user", "root"):
            master, slave = pty.openpty()
            p = subprocess.Popen(
                host.command(
                    "run", *how, "--user", user, "work", "--", "python3 /home/user/inject.py"
                ),
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
            )
            out = b""
            end = time.monotonic() + 20
            while (
                p.poll() is None or select.select([master], [], [], 0.1)[0]
            ) and time.monotonic() < end:
                if select.select([master], [], [], 0.1)[0]:
                    out += os.read(master, 4096)
            equal(p.wait(10), 0, f"exit status: {out!r}")
            expect(b"injected: []" in out, f"{how} {user}: {out!r}")
            # What was pushed would be the terminal's next input.
            os.set_blocking(slave, False)
            try:
                equal(os.read(slave, 100), b"", "input of our terminal")
            except BlockingIOError:
                pass
            os.close(slave)
            os.close(master)


TRACE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
done = []
agent = int(os.environ["QREXEC_AGENT_PID"])
for pid in (1, agent):
    for request in (16, 0x4206):
        if libc.ptrace(request, pid, 0, 0) == 0:
            done.append(("ptrace", pid))
    for name, flags in (("mem", os.O_RDWR), ("mem", os.O_RDONLY), ("environ", os.O_RDONLY),
                        ("exe", os.O_RDONLY), ("fd/3", os.O_RDWR), ("fd/2", os.O_WRONLY),
                        ("maps", os.O_RDONLY)):
        try:
            fd = os.open("/proc/%d/%s" % (pid, name), flags)
        except OSError:
            continue
        # An empty file says nothing; memory would.
        try:
            if flags != os.O_RDONLY or os.read(fd, 1):
                done.append((name, pid))
        except OSError:
            pass
        os.close(fd)
    buffer = ctypes.create_string_buffer(16)
    class iovec(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
    mine = iovec(ctypes.addressof(buffer), 16)
    theirs = iovec(0x400000, 16)
    if libc.syscall(310, pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0) > 0:
        done.append(("process_vm_readv", pid))
    if libc.syscall(438, libc.syscall(434, pid, 0), 3, 0) >= 0:
        done.append(("pidfd_getfd", pid))
print(done)
"""


def threat_16_init_and_agent_are_not_traced_from_inside(host):
    equal(host.python_ok("work", TRACE, user="root").text, "[]", "what root of the box could do")
    r = host.sh("work", "kill -9 1; kill -STOP 1; sleep 0.1; echo alive", "root")
    equal(r.out, b"alive\n", "PID 1 after SIGKILL from inside")


def threat_16_nothing_is_setuid_and_the_host_s_parts_are_not_dumpable(host):
    for path in host.bin.rglob("*"):
        if path.is_file():
            expect(not path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID), f"{path} is setuid")
    broker = host.broker()
    uid = int(status_of(broker)["Uid"].split()[0])
    # As the broker's own user: reading it needs the right to trace it.
    r = subprocess.run(
        ["cat", f"/proc/{broker}/environ", f"/proc/{broker}/maps"],
        capture_output=True,
        check=False,
        timeout=10,
        user=uid,
        group=uid,
        extra_groups=[],
    )
    equal((r.returncode, r.stdout), (1, b""), "another process of the broker's user reads it")


FORBIDDEN = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
calls = {"unshare(user)": (272, 0x10000000), "unshare(mount)": (272, 0x20000),
         "mount": (165, b"x", b"/tmp", b"tmpfs", 0, 0),
         "umount": (166, b"/proc", 2), "pivot_root": (155, b"/", b"/"), "bpf": (321, 0, 0, 0),
         "userfaultfd": (323, 0),
         "keyctl": (250, 0, 0), "add_key": (248, b"user", b"x", b"y", 1, -1),
         "init_module": (175, 0, 0, b""),
         "kexec_load": (246, 0, 0, 0, 0), "perf_event_open": (298, 0, 0, -1, -1, 0),
         "open_by_handle_at": (304, -1, 0, 0),
         "io_uring_setup": (425, 1, 0), "setns": (308, 0, 0), "reboot": (169, 0, 0, 0, 0),
         "swapon": (167, b"/x", 0),
         "mknod(device)": (133, b"/tmp/dev", 0o60600, 0x800),
         "clone(NEWUSER)": (56, 0x10000000 | 17, 0, 0, 0, 0),
         "fsopen": (430, b"tmpfs", 0), "move_mount": (429, -1, b"", -1, b"", 0),
         "socket(packet)": (41, 17, 3, 0),
         "socket(raw)": (41, 2, 3, 1), "socket(vsock)": (41, 40, 1, 0),
         "socket(netlink audit)": (41, 16, 3, 9),
         "setdomainname": (171, b"x", 1), "sethostname": (170, b"x", 1),
         "settimeofday": (164, 0, 0),
         "syslog": (103, 3, 0, 0), "quotactl": (179, 0, 0, 0, 0), "acct": (163, b"/tmp/x"),
         "iopl": (172, 3)}
allowed = []
me = os.getpid()
for name, (number, *args) in calls.items():
    args = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in args]
    ctypes.set_errno(0)
    r = libc.syscall(ctypes.c_long(number), *args)
    if os.getpid() != me:
        os._exit(0)
    if r >= 0:
        allowed.append(name)
print(allowed)
"""


def threat_30_system_calls_that_are_no_guest_s(host):
    if os.uname().machine != "x86_64":
        raise Skip("the numbers are those of x86_64")
    for user in ("user", "root"):
        equal(host.python_ok("work", FORBIDDEN, user=user).text, "[]", f"allowed for {user}")
    status = host.sh_ok(
        "work", "cat /proc/self/status; cat /proc/sys/user/max_user_namespaces", "root"
    )
    fields = dict(line.split(":\t") for line in status.text.splitlines() if ":\t" in line)
    equal(
        (fields["NoNewPrivs"].strip(), fields["Seccomp"].strip()), ("1", "2"), "NoNewPrivs, Seccomp"
    )
    equal(
        int(fields["CapEff"], 16) & (1 << 21 | 1 << 12 | 1 << 16 | 1 << 17 | 1 << 19),
        0,
        "capabilities",
    )
    equal(status.text.splitlines()[-1], "0", "max_user_namespaces")
    host.sh_ok("work", "cp /usr/bin/id /tmp/t/id; chmod 4755 /tmp/t/id", "root")
    equal(host.sh_ok("work", "/tmp/t/id -u").text, "1000", "a setuid program's user")


def threat_30_a_listing_says_what_isolates(host):
    expect("kernel-shared" in host.ok("ls").text, "the listing")


SEND_FDS = RAW + """
import ctypes, json, sys
inet = socket.socket(socket.AF_INET)
gift = [inet.fileno(), os.open("/etc/passwd", os.O_RDONLY), os.open("/", os.O_PATH)]
def give(s, data):
    return s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", gift * 50))])
out = {}
# With a whole request, with half of one, in front of nothing, and behind an answered one.
whole = trigger(b"demo.Echo", b"vault")
s = connect(); give(s, whole); data, fds = answer(s)
out["whole"] = [len(data), len(fds)]
for fd in fds: os.close(fd)
try:
    for i in range(5): give(s, b"x")
except OSError:
    pass
kept = [s]
for i in range(20):
    t = connect()
    try:
        give(t, whole[:50])
    except OSError:
        pass
    kept.append(t)
# The data channel: pipes take no descriptors.
s = connect(); s.sendall(whole); data, fds = answer(s)
kinds = []
for fd in fds:
    libc = ctypes.CDLL(None, use_errno=True)
    r = libc.sendmsg(fd, ctypes.create_string_buffer(56), 0)
    kinds.append([os.readlink("/proc/self/fd/%d" % fd).split(":")[0], r, ctypes.get_errno()])
out["channel"] = kinds
open("/tmp/giving", "w").close()
print(json.dumps(out), flush=True)
time.sleep(float(sys.argv[1]))
"""


def agent_fds(host, name):
    agent = [p for p in children(host.box(name)) if command_line(p)[:1] == [b"qube-agent"]][0]
    found = []
    for n in os.listdir(f"/proc/{agent}/fd"):
        try:
            found.append(os.readlink(f"/proc/{agent}/fd/{n}"))
        except OSError:
            continue
    return found


def threat_31_no_descriptor_is_taken_in_any_channel(host):
    host.sh_ok("vault", "true")
    host.sh_ok("work", "rm -f /tmp/giving; cat >/tmp/give.py", data=SEND_FDS.encode())
    before = agent_fds(host, "work")
    hosts = {p: len(os.listdir(f"/proc/{p}/fd")) for p in (host.pid, host.broker())}
    p = host.spawn("run", "work", "--", "exec python3 /tmp/give.py 2")
    out = json.loads(p.stdout.readline())
    equal(out["whole"], [8, 2], "a request with descriptors beside it")
    for kind, r, errno in out["channel"]:
        equal((kind, r, errno), ("pipe", -1, 88), "an end of the data channel")
    during = agent_fds(host, "work")
    expect("/etc/passwd" not in during and "/" not in during, f"the agent took: {during}")
    sockets = sum(t.startswith("socket:") for t in during) - sum(
        t.startswith("socket:") for t in before
    )
    expect(sockets <= 22, f"the agent has {sockets} sockets more than before; 22 were connected")
    for pid, count in hosts.items():
        expect(
            len(os.listdir(f"/proc/{pid}/fd")) <= count + 8, f"process {pid} has more descriptors"
        )
    equal(p.wait(20), 0, f"the giver: {p.communicate()}")
    equal(host.call("work", "vault", "demo.Echo", b"x").out, b"x", "a call afterwards")


def threat_31_a_called_qube_gets_no_socket_of_its_caller(host):
    """The caller puts a network socket where the channel's ends are; the service sees pipes."""
    host.service(
        "vault",
        "demo.Attack",
        """#!/usr/bin/python3
import json, os, stat
print(json.dumps([stat.S_ISFIFO(os.fstat(fd).st_mode) for fd in (0, 1, 2)]))
""",
    )
    r = host.python_ok(
        "work",
        """
import socket, subprocess
a, b = socket.socketpair()
b.shutdown(socket.SHUT_WR)
p = subprocess.run(["/run/qube/guest/qube-rpc", "vault", "demo.Attack"],
                   stdin=a, stdout=subprocess.PIPE)
print(p.stdout.decode())
""",
    )
    equal(json.loads(r.text), [True, True, True], "descriptors of the service are pipes")


def threat_32_a_setuid_file_on_the_pool_is_useless_outside(host):
    host.sh_ok(
        "work",
        "cp /usr/bin/id /home/user/id && chown root /home/user/id && "
        "chmod 6755 /home/user/id && mkdir -p /usr/local/x && "
        "cp -p /home/user/id /usr/local/x/id && chmod 6755 /usr/local/x/id",
        "root",
    )
    path = host.home("work") / "id"
    expect(path.stat().st_mode & stat.S_ISUID, "the file is not setuid: nothing was tried")
    for folder in (host.state, host.run_dir / "boxes", host.run_dir / "store"):
        equal(stat.S_IMODE(folder.stat().st_mode) & 0o077, 0, f"mode of {folder}")
    for uid in (65534, path.stat().st_uid):
        try:
            r = subprocess.run(
                [path],
                capture_output=True,
                check=False,
                timeout=10,
                user=uid,
                group=uid,
                extra_groups=[],
            )
            expect(False, f"it ran as {uid}: {r}")
        except PermissionError:
            pass
    # Root who goes there by mistake is kept from it by the mount.
    try:
        subprocess.run([path], capture_output=True, check=False, timeout=10)
        expect(False, "it ran from the pool's path")
    except PermissionError:
        pass


FILL = """
import json, os
out = {}
for place in ("/dev/shm", "/run", "/dev"):
    n = 0
    try:
        with open(place + "/fill", "wb", buffering=0) as f:
            while n < 1 << 30:
                n += f.write(b"x" * (1 << 20))
        out[place] = [n, 0]
    except OSError as e:
        out[place] = [n, e.errno]
    try:
        os.unlink(place + "/fill")
    except OSError:
        pass
v = os.statvfs("/tmp")
out["/tmp"] = [v.f_blocks * v.f_frsize, v.f_files]
print(json.dumps(out))
"""


def threat_33_what_a_guest_can_fill_has_an_end(host):
    r = host.python_ok("work", FILL, user="root", timeout=120)
    out = json.loads(r.text)
    for place in ("/dev/shm", "/run", "/dev"):
        n, error = out[place]
        expect(error in (28, 13, 30, 1) and n <= 512 << 20, f"{place}: {n} bytes, error {error}")
    with open("/proc/meminfo", encoding="ascii") as f:
        total = int(f.readline().split()[1]) << 10
    expect(0 < out["/tmp"][0] <= total // 4, f"/tmp has {out['/tmp'][0]} bytes of {total}")
    equal(host.sh("vault", "exit 3").code, 3, "another qube")
    q = host.qubes()["work"]
    expect(q["unenforced"], f"what is not enforced is not listed: {q}")


def threat_33_a_full_process_table_of_one_is_not_another_s(host):
    host.sh_ok(
        "work",
        "cat >/tmp/bomb.py",
        data=b"""
import os, signal, time
n = 0
try:
    while True:
        if not os.fork():
            signal.pause()
        n += 1
except OSError:
    print(n, flush=True)
    time.sleep(3)
""",
    )
    p = host.spawn("run", "--user", "root", "work", "--", "exec python3 /tmp/bomb.py")
    try:
        n = int(p.stdout.readline())
        expect(100 < n < 20000, f"{n} processes")
        equal(host.sh("vault", "exit 3").code, 3, "a call into another qube")
        equal(host.qube("run", "--disposable=dvm", "--", "exit 4").code, 4, "a new disposable")
        host.sh("work", "true", timeout=20)  # may fail, must not hang
    finally:
        host.ok("kill", "work")
        p.communicate(timeout=20)
    equal(host.sh("work", "exit 5").code, 5, "the same qube, started again")


def threat_20_a_start_that_fails_leaves_nothing(host):
    layers = host.state / "pools/default/layers"
    host.ok("kill", "work")
    host.sh_ok("vault", "true")
    before = host.traces()
    fds = len(os.listdir(f"/proc/{host.pid}/fd"))
    away = layers.with_name("layers.away")
    layers.rename(away)
    try:
        for _ in range(5):
            r = host.qube("start", "work")
            equal(r.code, 1, f"start without its layers: {r}")
            expect(r.why, "says nothing")
            equal(host.state_of("work"), "Halted", "state")
            equal(host.qube("run", "--disposable=dvm", "--", "true").code, 125, "a disposable")
    finally:
        away.rename(layers)
    nothing_left(host, before)
    until(lambda: len(os.listdir(f"/proc/{host.pid}/fd")) <= fds + 1, "descriptors are given back")
    equal(sorted(host.qubes()), ["base", "dom0", "dvm", "vault", "work"], "qubes")
    equal(host.sh("work", "exit 5").code, 5, "it starts when the layers are there")


main(globals(), setup)
