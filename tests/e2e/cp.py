#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files and directories into a qube and out of it, and what a hostile qube sends instead."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import stat
import struct
import subprocess

from harness import children, command_line, equal, expect, main, until

BEGIN, FILE, DIR, LEAVE, LINK, LEFT, END = 0x31504351, 1, 2, 3, 4, 5, 6
ODD = b"odd \\ ' \" \n \xff\xfe \x1b[31m $(id) -rf"
NOBODY = 65534

# A login shell that answers a copy with what lies in the file `stream`, again and again if there is
# a file `endless`.
EVIL = """#!/usr/bin/python3 -Es
import os, sys
if "qube-copy" not in sys.argv[-1]:
    os.execv("/bin/sh", ["sh"] + sys.argv[1:])
home = "/var/evil/"
data = open(home + "stream", "rb").read()
os.write(1, data)
while os.path.exists(home + "endless"):
    os.write(1, bytes(65536))
if os.path.exists(home + "stay"):
    os.close(1)
    import time
    time.sleep(600)
if os.path.exists(home + "say"):
    os.write(2, b"\\x1b[2J" + b"x" * 100000)
    sys.exit(14)
"""


def setup(host):
    host.create("work")
    host.create("other")
    host.sh_ok(
        "work",
        "mkdir -p /var/evil && cat >/var/evil/shell && chmod 755 /var/evil/shell && "
        "echo evil:x:1000:1000::/var/evil:/var/evil/shell >>/etc/passwd && "
        "chown -R user /var/evil",
        "root",
        EVIL.encode(),
    )


def record(kind, name=b"", data=b"", mode=0, size=None):
    return struct.pack("<IIIQ", kind, mode, len(name), len(data) if size is None else size) + (
        name + data
    )


def whole(*records):
    return record(BEGIN) + b"".join(records) + record(END)


def place(host, name):
    path = host.dir / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def tree_of(top):
    """Everything below it: kind, mode, content."""
    found = {}
    for at, dirs, files in os.walk(os.fsencode(top)):
        for n in dirs + files:
            path = os.path.join(at, n)
            st = os.lstat(path)
            what = stat.S_IMODE(st.st_mode)
            if stat.S_ISLNK(st.st_mode):
                what = os.readlink(path)
            elif stat.S_ISREG(st.st_mode):
                what = (what, pathlib.Path(os.fsdecode(path)).read_bytes())
            found[os.path.relpath(path, os.fsencode(top))] = what
    return found


def make_tree(top):
    top.mkdir()
    (top / "empty dir").mkdir()
    (top / "empty").touch()
    deep = top
    for n in range(30):
        deep = deep / f"d{n}"
        deep.mkdir()
    (deep / "deep").write_bytes(b"deep\n")
    (top / "program").write_bytes(os.urandom(300000))
    (top / "program").chmod(0o755)
    (top / "read only").write_text("x")
    (top / "read only").chmod(0o444)
    (top / os.fsdecode(ODD)).write_bytes(b"odd")
    (top / ("n" * 255)).write_bytes(b"long")
    (top / "link").symlink_to("program")
    (top / "d0" / "up").symlink_to("../empty")
    (top / "d0" / "nowhere").symlink_to("not/there")


def test_a_tree_goes_in_and_comes_out_as_it_was(host):
    top = place(host, "there") / "tree"
    make_tree(top)
    host.ok("cp", top, "work:")
    equal(host.sh_ok("work", "stat -c '%U %a' tree/program").text, "user 755", "owner inside")
    back = place(host, "back")
    host.ok("cp", "work:tree", back)
    equal(tree_of(back / "tree"), tree_of(top), "what came back")
    equal((back / "tree" / "empty").stat().st_uid, 0, "owner on the host")
    equal(sorted(os.listdir(back)), ["tree"], "what is beside it")


def test_targets_are_as_of_cp(host):
    out = place(host, "there")
    (out / "one").write_text("1\n")
    (out / "two").write_text("2\n")
    host.sh_ok("work", "mkdir -p 'a dir'")
    host.ok("cp", out / "one", out / "two", "work:a dir/")
    host.ok("cp", out / "one", "work:a dir/renamed")
    host.ok("cp", out / "two", "work:/tmp/absolute")
    equal(
        host.sh_ok("work", "cd 'a dir' && cat one two renamed /tmp/absolute").text,
        "1\n2\n1\n2",
        "inside",
    )
    # Several are for a directory: none of them becomes a file in its place.
    host.sh_ok("work", "echo kept >file")
    for target in ("none", "file", "./file"):
        r = host.qube("cp", "--force", out / "one", out / "two", f"work:{target}")
        expect(r.code == 1, f"several onto one: {r}")
        expect("no directory of that name" in r.why, f"error: {r}")
    equal(host.sh_ok("work", "! ls -d none && cat file").text, "kept", "inside")
    host.ok("cp", "--force", out / "one", out / "two", "work:")
    equal(host.sh_ok("work", "cat one two && rm one two").text, "1\n2", "in the home")
    back = place(host, "back")
    host.ok("cp", "work:a dir/one", "work:/tmp/absolute", back)
    host.ok("cp", "work:a dir/one", back / "renamed")
    host.ok("cp", "work:a dir", back / "all")
    equal(sorted(os.listdir(back)), ["absolute", "all", "one", "renamed"], "outside")
    equal(sorted(os.listdir(back / "all")), ["one", "renamed", "two"], "of the directory")
    host.sh_ok("work", "cat >\"$(printf 'odd \\n \\377 \\047')\"", data=b"odd")
    host.ok("cp", os.fsdecode(b"work:odd \n \xff '"), back / "odd")
    equal((back / "odd").read_bytes(), b"odd", "of an odd name")


def test_what_is_there_is_not_touched_unless_forced(host):
    out = place(host, "there")
    (out / "file").write_text("new")
    host.sh_ok("work", "rm -rf f file; echo -n old >file")
    r = host.qube("cp", out / "file", "work:")
    equal(r.code, 1, "a file that is there, inside")
    expect("is there already" in r.why, f"why: {r}")
    equal(host.sh_ok("work", "cat file").text, "old", "what was there")
    host.ok("cp", "--force", out / "file", "work:")
    equal(host.sh_ok("work", "cat file").text, "new", "what replaced it")
    (out / "file").write_text("mine")
    r = host.qube("cp", "work:file", out)
    equal((r.code, (out / "file").read_text()), (1, "mine"), "a file that is there, outside")
    expect("is there already" in r.why, f"why: {r}")
    # A link is replaced, never followed.
    (out / "file").unlink()
    (out / "far").write_text("far")
    (out / "file").symlink_to("far")
    equal(host.qube("cp", "work:file", out / "file").code, 1, "a link that is there")
    host.ok("cp", "--force", "work:file", out)
    equal(((out / "file").read_text(), (out / "file").is_symlink()), ("new", False), "replaced")
    equal((out / "far").read_text(), "far", "what the link led to")


def test_directories_are_joined_when_forced(host):
    host.sh_ok("work", "rm -rf j; mkdir -p j/sub j/both; echo 1 >j/both/a; echo 2 >j/sub/b")
    out = place(host, "there")
    (out / "j" / "both").mkdir(parents=True)
    (out / "j" / "both" / "a").write_text("old")
    (out / "j" / "both" / "mine").write_text("mine")
    equal(host.qube("cp", "work:j", out).code, 1, "a directory that is there")
    host.ok("cp", "-f", "work:j", out)
    equal(
        {k: v for k, v in tree_of(out / "j").items() if isinstance(v, tuple)},
        {
            b"both/a": (0o644, b"1\n"),
            b"both/mine": (0o644, b"mine"),
            b"sub/b": (0o644, b"2\n"),
        },
        "joined",
    )
    # One that cannot be: nothing moves.
    before = tree_of(out)
    host.sh_ok("work", "rm -rf j; mkdir -p j/both/mine; echo 3 >j/both/a")
    r = host.qube("cp", "-f", "work:j", out)
    equal(r.code, 1, "a directory in the place of a file")
    equal(tree_of(out), before, "what was there")


def test_what_is_no_file_is_left_out_and_told(host):
    host.sh_ok(
        "work",
        "rm -rf mix; mkdir -p mix/d; cd mix; mkfifo pipe; ln -s /etc/passwd abs; "
        "ln -s ../../x d/up; ln -s d/.. around; echo ok >d/f; ln -s d/f good; chmod 7755 d/f",
    )
    out = place(host, "there")
    r = host.qube("cp", "work:mix", out)
    equal(r.code, 1, "exit status")
    expect("left out" in r.why, f"why: {r}")
    equal(
        tree_of(out),
        {b"mix": 0o755, b"mix/d": 0o755, b"mix/d/f": (0o755, b"ok\n"), b"mix/good": b"d/f"},
        "what came",
    )
    expect("pipe" in host.log(), "the log does not name it")
    (out / "m").mkdir()
    os.mkfifo(out / "m" / "p")
    r = host.qube("cp", "--json", out / "m", "work:")
    told = json.loads(r.out)
    equal((r.code, told[0]["left_out"], told[0]["bytes"]), (1, True, 0), "told as JSON")


def test_errors_are_told_and_leave_nothing(host):
    out = place(host, "there")
    (out / "f").write_text("x")
    os.mkfifo(out / "pipe")
    host.sh_ok("work", "mkdir -p closed && touch closed/f && chmod 0 closed", "root")
    cases = [
        (["cp", "work:nothing", out], "it is not there"),
        (["cp", "work:/root/closed", out], "Permission denied"),
        (["cp", out / "f", "work:/etc/new"], "Permission denied"),
        (["cp", out / "f", "work:no/such/dir"], "it is not there"),
        (["cp", out / "f", "work:no/"], "no directory"),
        (["cp", out / "nothing", "work:"], "No such file"),
        (["cp", out / "pipe", "work:"], "neither a file nor a directory"),
        (["cp", "work:/dev/null", out], "neither a file nor a directory"),
        (["cp", "work:/home", out / "no/such"], "No such file"),
        (["cp", "work:", out], "no name"),
        (["cp", "nobody:x", out], "nobody"),
        (["cp", "--user", "nouser", "work:x", out], "no user"),
        (["cp", "dom0:x", out], "host itself"),
    ]
    for args, why in cases:
        r = host.qube(*args)
        equal(r.code, 1, f"exit status of {args}")
        expect(why in r.why, f"{args}: {r}")
    for args in (
        ["cp", "work:x", "other:y"],
        ["cp", out / "f", out / "g"],
        ["cp", "work:x", "other:x", out],
        ["cp", "work:x"],
        ["cp", "work:x", "work:y", out / "f"],
        ["cp", "--max-size", "big", "work:x", out],
    ):
        r = host.qube(*args)
        equal(r.code, 2, f"exit status of {args}")
    expect("policy" in host.qube("cp", "work:x", "other:y").why, "why not from qube to qube")
    equal(sorted(os.listdir(out)), ["f", "pipe"], "what is there")
    r = host.qube("cp", "--no-start", out / "f", "other:")
    equal(r.code, 1, "of a halted qube")
    expect("does not run" in r.why, f"why: {r}")
    host.ok("cp", out / "f", "other:")
    equal(host.sh_ok("other", "cat f").text, "x", "into a qube that was started")


def test_a_big_file_goes_in_and_out(host):
    out = place(host, "there")
    with open(out / "big", "wb") as f:
        for _ in range(200):
            f.write(os.urandom(1 << 20))
    want = hashlib.sha256((out / "big").read_bytes()).hexdigest()
    r = host.ok("cp", "--json", out / "big", "work:")
    equal(json.loads(r.out)[0]["bytes"], 200 << 20, "bytes that went in")
    equal(host.sh_ok("work", "sha256sum <big").text.split()[0], want, "inside")
    r = host.ok("--progress", "plain", "cp", "work:big", out / "back")
    equal(hashlib.sha256((out / "back").read_bytes()).hexdigest(), want, "outside")
    expect("%" in r.why, f"no progress: {r}")
    r = host.qube("cp", "--max-size", "100M", "work:big", out / "more")
    equal(r.code, 1, "more than allowed")
    expect("larger than was allowed" in r.why, f"why: {r}")
    expect(not (out / "more").exists(), "some of it is there")
    host.sh_ok("work", "rm big")


def as_nobody(host, *args):
    return subprocess.run(
        host.command(*args), capture_output=True, check=False, timeout=60, user=NOBODY,
        group=NOBODY, extra_groups=[], cwd="/",
    )  # fmt: skip


def test_a_client_has_its_own_rights_and_no_more(host):
    out = place(host, "there")
    for path in (host.dir, host.bin, host.bin.parent):
        path.chmod(path.stat().st_mode | 0o011)
    host.socket.chmod(0o666)
    secret = out / "secret"
    secret.mkdir()
    (secret / "key").write_text("key")
    (secret / "key").chmod(0o600)
    r = as_nobody(host, "cp", str(secret), "work:")
    expect(r.returncode == 1 and b"Permission denied" in r.stderr, f"what others own: {r}")
    equal(host.sh("work", "test -e secret").code, 1, "a part of it")
    r = as_nobody(host, "cp", "work:.bashrc", str(out))
    expect(r.returncode == 1 and b"Permission denied" in r.stderr, f"where others own: {r}")
    mine = out / "mine"
    mine.mkdir()
    os.chown(mine, NOBODY, NOBODY)
    host.sh_ok("work", "echo x >plain")
    r = as_nobody(host, "cp", "work:plain", str(mine))
    equal((r.returncode, r.stderr), (0, b""), "its own")
    st = (mine / "plain").stat()
    equal((st.st_uid, st.st_gid), (NOBODY, NOBODY), "whose it is")
    host.socket.chmod(0o660)


# --- a hostile qube ---


def evil(host, data, out, *args, files=()):
    host.sh_ok("work", "cd /var/evil; rm -f endless stay say; cat >stream", data=data)
    for name in files:
        host.sh_ok("work", f"touch /var/evil/{name}")
    return host.qube("cp", "--user", "evil", *args, "work:x", out, timeout=30)


def test_what_is_whole_is_taken(host):
    out = place(host, "there")
    r = evil(host, whole(record(FILE, b"../x", b"hi", 0o7777)), out)
    equal(r.code, 1, "a mode that is none")
    r = evil(host, whole(record(FILE, b"any name", b"hi", 0o777)), out)
    equal(r.code, 0, f"a file: {r}")
    equal(tree_of(out), {b"x": (0o755, b"hi")}, "what came")


def threat_11_what_a_hostile_qube_sends_is_refused_whole(host):
    out = place(host, "there")
    (out / "mine").write_text("mine")
    before = tree_of(host.dir / "there")

    def in_dir(*records):
        return whole(record(DIR, b"d", mode=0o755), *records, record(LEAVE))

    f = record(FILE, b"f", b"data", 0o644)
    cases = {
        "a name that goes up": in_dir(record(FILE, b"..", b"", 0o644)),
        "a path that goes up": in_dir(record(FILE, b"../../mine", b"x", 0o644)),
        "an absolute name": in_dir(record(FILE, b"/tmp/qube-cp-was-here", b"x", 0o644)),
        "a path": in_dir(record(FILE, b"a/b", b"x", 0o644)),
        "a NUL": in_dir(record(FILE, b"a\0b", b"x", 0o644)),
        "no name": in_dir(record(FILE, b"", b"x", 0o644)),
        "a link out": in_dir(record(LINK, b"l", b"../mine")),
        "a link out, in depth": in_dir(
            record(DIR, b"e", mode=0o755), record(LINK, b"l", b"../../mine"), record(LEAVE)
        ),
        "an absolute link": in_dir(record(LINK, b"l", b"/etc")),
        "a link around": in_dir(record(LINK, b"l", b"e/../..")),
        "a link with a NUL": in_dir(record(LINK, b"l", b"a\0")),
        "a link at the top": whole(record(LINK, b"l", b"mine")),
        "a link, and a file through it": in_dir(
            record(LINK, b"l", b"."), record(FILE, b"l", b"x", 0o644)
        ),
        "a link, and a directory through it": in_dir(
            record(LINK, b"l", b"."), record(DIR, b"l", mode=0o755), f, record(LEAVE)
        ),
        "one name twice": in_dir(f, f),
        "a device": in_dir(record(7, b"dev", b"", 0o644)),
        "setuid": in_dir(record(FILE, b"s", b"x", 0o4755)),
        "too deep": whole(record(DIR, b"d", mode=0o755) * 200 + record(LEAVE) * 200),
        "no end": record(BEGIN) + f,
        "cut off in a file": record(BEGIN) + record(FILE, b"f", b"x", 0o644, size=100),
        "cut off in a directory": record(BEGIN) + record(DIR, b"d", mode=0o755) + f,
        "two files": whole(f, f),
        "a way out of nothing": whole(record(LEAVE)),
        "a beginning in the middle": in_dir(record(BEGIN)),
        "nothing": b"",
        "an empty one": whole(),
        "noise": os.urandom(5000),
        "a tar file": b"x".ljust(257, b"\0") + b"ustar\0" + bytes(4000),
        "a size that is none": whole(record(FILE, b"f", b"", 0o644, size=1 << 63)),
        "more than there is": record(BEGIN) + record(FILE, b"f", b"", 0o644, size=1 << 60),
    }
    for what, data in cases.items():
        r = evil(host, data, out)
        equal(r.code, 1, f"{what}: {r}")
        expect(r.why.startswith("qube: ") and len(r.why) > 20, f"{what} says nothing: {r}")
        equal(tree_of(out), before, f"what is there after {what}")
        r = evil(host, data, out, "--force")
        equal(r.code, 1, f"{what} with --force: {r}")
        equal(tree_of(out), before, f"what is there after {what} with --force")
    expect(not os.path.exists("/tmp/qube-cp-was-here"), "it wrote outside")


def threat_21_an_endless_stream_ends_at_a_bound_or_by_hand(host):
    out = place(host, "there")
    head = record(BEGIN) + record(FILE, b"f", b"", 0o644, size=1 << 40)
    r = evil(host, head, out, "--max-size", "20M", files=["endless"])
    equal((r.code, os.listdir(out)), (1, []), f"larger than it said: {r}")
    p = host.spawn("cp", "--user", "evil", "work:x", str(out))
    until(lambda: [n for n in os.listdir(out) if (out / n).stat().st_size > 1 << 20], "it flows")
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=20)
    equal((p.returncode, os.listdir(out)), (130, []), "after an interrupt")
    # Whoever asked is killed: the host takes it back.
    p = host.spawn("cp", "--user", "evil", "work:x", str(out))
    until(lambda: [n for n in os.listdir(out) if (out / n).stat().st_size > 1 << 20], "it flows")
    p.kill()
    p.communicate(timeout=20)
    until(lambda: not os.listdir(out), "nothing is left of it")


def threat_21_an_end_that_says_nothing_is_not_waited_for(host):
    out = place(host, "there")
    r = evil(host, record(BEGIN), out, files=["stay"])
    equal((r.code, os.listdir(out)), (1, []), f"one that stays: {r}")
    (out / "f").write_text("x")
    # It reads nothing: the worker waits for it, and the user ends that.
    with open(out / "f", "ab") as f:
        f.truncate(10 << 20)
    p = host.spawn("cp", "--user", "evil", str(out / "f"), "work:")
    host.sh_ok("work", "sleep 0.5")
    p.send_signal(signal.SIGINT)
    expect(p.wait(20) in (1, 130), "an interrupt")
    p.communicate()


def threat_04_what_the_other_end_says_is_escaped_and_short(host):
    out = place(host, "there")
    r = evil(host, b"", out, files=["say"])
    equal(r.code, 1, "exit status")
    expect(b"\x1b" not in r.err and len(r.err) < 2000, f"told: {r}")
    expect("\\x1b[2J" in r.why, f"told: {r}")


def test_an_interrupt_leaves_nothing_inside(host):
    out = place(host, "there")
    big = out / "big"
    with open(big, "wb") as f:
        f.truncate(4 << 30)
    p = host.spawn("cp", str(big), "work:half")
    until(lambda: host.sh("work", "ls -d .qube-*").code == 0, "it is under way")
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=30)
    equal(p.returncode, 130, "exit status")
    until(
        lambda: host.sh("work", "ls -d half .qube-* 2>/dev/null").text == "", "nothing is left", 30
    )


def test_a_qube_that_ends_takes_the_copy_with_it(host):
    out = place(host, "there")
    host.sh_ok("other", "head -c 1000000 /dev/zero >f; mkfifo -m 666 hold; true")
    big = out / "big"
    with open(big, "wb") as f:
        f.truncate(4 << 30)
    p = host.spawn("cp", str(big), "other:half")
    until(lambda: host.sh("other", "ls -d .qube-*").code == 0, "it is under way")
    host.ok("kill", "other")
    p.communicate(timeout=30)
    equal(p.returncode, 1, "exit status")


def endless(host, out):
    """A copy of what never ends, under way."""
    head = record(BEGIN) + record(FILE, b"f", b"", 0o644, size=1 << 40)
    host.sh_ok("work", "cd /var/evil; rm -f stay say; cat >stream; touch endless", data=head)
    p = host.spawn("cp", "--user", "evil", "work:x", str(out))
    until(lambda: [n for n in os.listdir(out) if (out / n).stat().st_size > 1 << 20], "it flows")
    return p


def worker_of(host):
    """The one that copies."""
    for pid in children(host.pid):
        if host.is_worker(pid) and any(a.startswith(b"--as=") for a in command_line(pid)):
            return pid
    return None


def test_a_worker_that_is_killed_leaves_nothing(host):
    out = place(host, "there")
    p = endless(host, out)
    os.kill(worker_of(host), signal.SIGKILL)
    _, why = p.communicate(timeout=30)
    equal((p.returncode, os.listdir(out)), (1, []), f"told: {why!r}")
    equal(worker_of(host), None, "a worker")


def test_a_host_that_is_killed_leaves_nothing(host):
    out = place(host, "there")
    p = endless(host, out)
    host.daemon.kill()
    host.daemon.wait(10)
    p.communicate(timeout=30)
    equal(p.returncode, 1, "exit status")
    until(lambda: not os.listdir(out), "nothing is left of it")
    host.start()
    equal(host.sh_ok("work", "echo here").text, "here", "the qube, later")


def test_without_a_daemon_it_is_the_same(host):
    """The same host, this time in the program itself."""
    out = place(host, "there")
    (out / "f").write_text("embedded")
    host.ok("shutdown", "work", "--timeout", "20")
    host.qube("shutdown", "other")
    host.stop()
    args = [
        host.bin / "qube", "--embedded", "--state-dir", host.state, "--run-dir", host.run_dir,
        "--policy-root", host.policy_root, "--libexec-dir", host.bin, "cp",
    ]  # fmt: skip
    for more in ((out / "f", "work:e"), ("work:e", out / "back")):
        done = subprocess.run([*args, *more], capture_output=True, check=False, timeout=60)
        equal(done.returncode, 0, f"embedded {more}: {done}")
    equal((out / "back").read_text(), "embedded", "what came back")
    host.start()


main(globals(), setup)
