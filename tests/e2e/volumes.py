#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Volumes: old states, settings, content out and in, what they take; and a disk that is full."""

import hashlib
import io
import json
import os
import pty
import select
import stat
import subprocess
import tarfile

from harness import equal, expect, main, until


def setup(host):
    host.ok("clone", "base", "tpl")
    host.ok("create", "app", "--template", "tpl")
    host.ok("create", "alone", "--class", "StandaloneVM", "--template", "tpl")


def mark(host, n):
    host.sh_ok("tpl", f"echo {n} >/etc/mark", "root")
    host.ok("shutdown", "tpl")


def seen(host):
    text = host.sh("app", "cat /etc/mark").text
    host.ok("shutdown", "app")
    return text


def revisions(host):
    return json.loads(host.ok("volume", "revisions", "--json", "tpl", "root").out)


def test_a_template_goes_back_to_an_old_state_and_forward_again(host):
    host.ok("volume", "set", "tpl", "root", "revisions_to_keep", "3")
    for n in (1, 2, 3):
        mark(host, n)
    old = revisions(host)
    equal(len(old), 3, "old states")
    equal(old, sorted(old, key=lambda r: int(r.split("-")[0])), "their order")
    host.ok("volume", "revert", "tpl", "root")
    equal(seen(host), "2", "after going back")
    host.ok("volume", "revert", "tpl", "root")
    equal(seen(host), "3", "after going back from that")
    r = host.qube("volume", "revert", "tpl", "root", "999")
    equal(r.code, 1, "a revision that is not there")
    expect("999" in r.why, f"does not name it: {r}")


def test_what_runs_keeps_what_it_has_and_is_said_to_be_outdated(host):
    mark(host, 4)
    host.ok("start", "app")
    mark(host, 5)
    info = json.loads(host.ok("volume", "info", "--json", "app", "root").out)
    expect(info["outdated"], f"not outdated: {info}")
    equal(host.sh_ok("app", "cat /etc/mark").text, "4", "of what runs")
    r = host.qube("volume", "revert", "app", "root")
    equal(r.code, 1, "an old state of a snapshot")
    host.ok("start", "tpl")
    r = host.qube("volume", "revert", "tpl", "root")
    equal(r.code, 1, "of a template that runs")
    expect("not powered off" in r.why, f"why: {r}")
    host.ok("shutdown", "tpl", "app")


def test_many_changes_do_not_make_a_template_slow_or_stuck(host):
    """Each change is a layer; they are merged behind the scenes."""
    path = host.state / "pools/default/volumes/tpl/root.vol"

    def layers():
        line = [li for li in path.read_text().splitlines() if li.startswith("revision")][0]
        return len(line.split()) - 3

    for n in range(100, 114):
        mark(host, n)
    until(lambda: "merged" in path.read_text(), "the layers are merged", 30)
    expect(layers() <= 12, f"{layers()} layers")
    equal(seen(host), "113", "after the merge")
    host.ok("start", "app")
    info = json.loads(host.ok("volume", "info", "--json", "app", "root").out)
    expect(not info["outdated"], f"outdated by a merge: {info}")
    host.ok("shutdown", "app")


def test_settings_are_checked_and_kept(host):
    host.ok("volume", "set", "app", "private", "size", "3G")
    info = json.loads(host.ok("volume", "info", "--json", "app", "private").out)
    equal(info["max_bytes"], 3 << 30, "the size")
    host.ok("volume", "set", "app", "volatile", "ephemeral", "True")
    for key, value in (("size", "0"), ("rw", "no"), ("nothing", "1"), ("ephemeral", "True")):
        r = host.qube("volume", "set", "app", "private", key, value)
        equal(r.code, 1, f"{key} {value}")
    host.ok("start", "app")
    unenforced = json.loads(host.ok("ls", "--json", "app").out)[0].get("unenforced", "")
    expect("disk" in unenforced, f"the size is not listed: {unenforced}")
    equal(host.qube("volume", "set", "app", "private", "rw", "False").code, 1, "rw while it runs")
    host.ok("shutdown", "app")
    host.ok("volume", "set", "app", "volatile", "ephemeral", "False")


def test_what_a_volume_takes_is_counted(host):
    host.sh_ok("app", "head -c 3000000 /dev/urandom >/home/user/big", "root")
    host.ok("shutdown", "app")
    info = json.loads(host.ok("volume", "info", "--json", "app", "private").out)
    expect(3000000 <= info["used_bytes"] < 4000000, f"counted: {info['used_bytes']}")
    text = host.ok("admin", "admin.vm.volume.Info", "app", "private").text
    expect(f"usage={info['used_bytes']}\n" in text + "\n", f"over the Admin API: {text}")
    host.sh_ok("app", "rm /home/user/big", "root")
    host.ok("shutdown", "app")


def test_a_home_goes_out_and_into_another_qube(host):
    host.sh_ok(
        "app",
        "echo mine >/home/user/file; chown user /home/user/file; chmod 640 "
        "/home/user/file; ln -s /etc/passwd /home/user/link",
        "root",
    )
    r = host.qube("volume", "export", "app", "private")
    equal(r.code, 1, "of a qube that runs")
    host.ok("shutdown", "app")
    r = host.ok("volume", "export", "app", "private")
    names = tarfile.open(fileobj=io.BytesIO(r.out)).getnames()
    expect("./home/user/file" in names, f"names: {names[:20]}")
    host.ok("create", "second", "--template", "tpl")
    host.ok("volume", "import", "second", "private", data=r.out)
    equal(
        host.sh_ok("second", "cat file; stat -c '%U %a' file; readlink link").text,
        "mine\nuser 640\n/etc/passwd",
        "what came in",
    )
    host.ok("shutdown", "second")
    out = host.dir / "home.tar"
    host.ok("volume", "export", "second", "private", str(out))
    equal(out.stat().st_mode & 0o777, 0o600, "mode of the file")
    host.ok("volume", "clear", "second", "private", "--yes")
    equal(host.sh("second", "cat file").code, 1, "after it was cleared")
    host.ok("shutdown", "second")
    host.ok("volume", "import", "second", "private", str(out))
    equal(host.sh_ok("second", "cat file").text, "mine", "from a file")
    host.ok("shutdown", "second")
    host.ok("rm", "second")


def test_a_root_goes_out_and_in_as_a_revision(host):
    host.sh_ok("alone", "echo first >/etc/own", "root")
    host.ok("shutdown", "alone")
    out = host.dir / "root.tar"
    host.ok("volume", "export", "alone", "root", str(out))
    host.sh_ok("alone", "echo second >/etc/own", "root")
    host.ok("shutdown", "alone")
    host.ok("volume", "import", "alone", "root", str(out))
    equal(host.sh_ok("alone", "cat /etc/own; id -un").text, "first\nuser", "what came in")
    host.ok("shutdown", "alone")
    host.ok("volume", "revert", "alone", "root")
    equal(host.sh_ok("alone", "cat /etc/own").text, "second", "what it replaced")
    host.ok("shutdown", "alone")


def evil(name, **how):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        info = tarfile.TarInfo(name)
        for key, value in how.items():
            setattr(info, key, value)
        t.addfile(info)
    return out.getvalue()


def threat_17_what_would_leave_the_volume_changes_nothing(host):
    host.sh_ok("app", "echo stays >/home/user/file", "root")
    host.ok("shutdown", "app")
    for data in (
        evil("../outside"),
        evil("/etc/outside"),
        evil("a", type=tarfile.LNKTYPE, linkname="/etc/shadow"),
        evil("a", uid=70000),
        b"",
        b"no tar file",
        os.urandom(5000),
    ):
        r = host.qube("volume", "import", "app", "private", data=data)
        equal(r.code, 1, f"import of {data[:20]}")
        expect(r.why, "says nothing")
    equal(host.sh_ok("app", "cat /home/user/file").text, "stays", "what was there")
    host.ok("shutdown", "app")


READ_ONLY = r"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for path in ("/rw", "/home", "/usr/local", "/home/user", "/", "/etc"):
    for flags in (0x20 | 0x1000, 0x20):  # remount, and of the bind mount
        if libc.mount(b"none", path.encode(), None, flags, None) == 0:
            print("remounted", path)
for path in ("/rw/new", "/home/user/new", "/usr/local/new", "/etc/new", "/usr/bin/new"):
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        print("made", path)
    except OSError as e:
        if e.errno != 30:
            print(path, e)
for path in ("/home/user/file", "/etc/passwd"):
    for what in (lambda: os.truncate(path, 0), lambda: os.chmod(path, 0o777),
                 lambda: os.unlink(path), lambda: os.link(path, path + "2"),
                 lambda: os.setxattr(path, "user.a", b"b"), lambda: os.utime(path)):
        try:
            what()
            print("changed", path)
        except OSError as e:
            if e.errno not in (30, 18):
                print(path, e)
"""


def threat_19_what_is_read_only_is_so_from_inside(host):
    host.sh_ok("app", "echo stays >/home/user/file", "root")
    host.ok("shutdown", "app")
    for name in ("root", "private"):
        host.ok("volume", "set", "app", name, "rw", "False")
    equal(host.python_ok("app", READ_ONLY, user="root").text, "", "what could be written to")
    equal(host.sh_ok("app", "cat /home/user/file").text, "stays", "what is there")
    host.ok("shutdown", "app")
    for name in ("root", "private"):
        host.ok("volume", "set", "app", name, "rw", "True")
    host.sh_ok("app", "echo again >/home/user/file && echo x >/etc/new", "root")
    host.ok("shutdown", "app")


SECRET = b"4f1c-earlier-content-77ab"
LEAVE = f"""
for d in ~ /rw /usr/local/bin /var/lib; do
    mkdir -p $d/deep/er; echo {SECRET.decode()} >$d/deep/er/file; echo x >$d/.hidden
    ln -s /etc/passwd $d/link; mkfifo $d/pipe
done
head -c 200000 /dev/urandom >~/big; chmod 700 ~; chown daemon ~/big
"""


def content(host, name, volume):
    """A number for all that is in a volume, but for times."""
    tar = tarfile.open(fileobj=io.BytesIO(host.ok("volume", "export", name, volume).out))
    h = hashlib.sha256()
    for m in sorted(tar.getmembers(), key=lambda m: m.name):
        data = tar.extractfile(m).read() if m.isreg() else b""
        more = sorted((k, v) for k, v in m.pax_headers.items() if not k.endswith("time"))
        what = (m.name, m.type, m.mode, m.uid, m.gid, m.linkname, more)
        h.update(repr(what).encode() + hashlib.sha256(data).digest())
    return h.hexdigest()


def on_disk(host, name):
    """The same of the private volume as it lies there, with what no tar file carries."""
    top = host.state / "pools/default/volumes" / name / "private"
    h = hashlib.sha256()
    for at, dirs, files in os.walk(top):
        dirs.sort()
        for f in sorted(dirs + files):
            path = os.path.join(at, f)
            st = os.lstat(path)
            xattrs = [(x, os.getxattr(path, x, follow_symlinks=False))
                      for x in sorted(os.listxattr(path, follow_symlinks=False))]
            h.update(repr((os.path.relpath(path, top), st.st_mode, st.st_uid, st.st_gid,
                           xattrs)).encode())
            if os.path.isfile(path) and not os.path.islink(path):
                h.update(open(path, "rb").read())
    return h.hexdigest()


def run_once(host, name, script="true"):
    host.sh_ok(name, script, "root")
    host.ok("shutdown", name)


def secret_is_nowhere(host):
    """Neither in what is used nor in what is thrown away, once that is deleted."""
    pool = host.state / "pools/default"

    def found():
        r = subprocess.run(["grep", "-rlaF", "--devices=skip", SECRET.decode(), str(pool)],
                           capture_output=True, check=False)
        return r.stdout

    until(lambda: not found(), f"nothing of it is on the disk: {found()!r}")


def threat_24_a_volume_that_was_cleared_is_as_it_was_when_new(host):
    host.ok("create", "reset", "--template", "tpl")
    run_once(host, "reset")
    new = content(host, "reset", "private"), on_disk(host, "reset")
    run_once(host, "reset", LEAVE)
    expect(content(host, "reset", "private") != new[0], "nothing was written")
    host.ok("volume", "clear", "reset", "private", "--yes")
    run_once(host, "reset")
    equal((content(host, "reset", "private"), on_disk(host, "reset")), new, "after the clearing")
    secret_is_nowhere(host)
    host.ok("rm", "reset")


def threat_24_a_root_that_was_reverted_is_as_it_was(host):
    host.ok("create", "back", "--class", "StandaloneVM", "--template", "tpl")
    run_once(host, "back")
    old = content(host, "back", "root")
    run_once(host, "back", LEAVE)
    expect(content(host, "back", "root") != old, "nothing was written")
    host.ok("volume", "revert", "back", "root")
    equal(content(host, "back", "root"), old, "after the way back")
    # The private volume has no revisions: clearing is its way. A root's go with the next change.
    host.ok("volume", "clear", "back", "private", "--yes")
    host.ok("volume", "set", "back", "root", "revisions_to_keep", "0")
    run_once(host, "back", "echo new >/etc/new")
    secret_is_nowhere(host)
    host.ok("rm", "back")


def threat_24_a_new_qube_has_nothing_of_one_that_had_its_name(host):
    for klass in ("AppVM", "StandaloneVM"):
        kept = ["private"] + (["root"] if klass == "StandaloneVM" else [])

        def make(name):
            host.ok("create", name, "--class", klass, "--template", "tpl")

        make("again")
        run_once(host, "again")
        new = [content(host, "again", v) for v in kept] + [on_disk(host, "again")]
        run_once(host, "again", LEAVE)
        host.ok("features", "again", "service.left", "1")
        host.ok("tags", "again", "add", "left")
        host.ok("prefs", "again", "netvm", "")
        settings = host.ok("prefs", "again", "--json").text
        host.ok("rm", "again")
        secret_is_nowhere(host)
        make("again")
        equal(host.ok("logs", "again").text, "", "its log")
        expect("left" not in host.ok("tags", "again").text, "a tag is left")
        expect("left" not in host.ok("features", "again").text, "a feature is left")
        expect(host.ok("prefs", "again", "--json").text != settings, "the settings are left")
        run_once(host, "again")
        now = [content(host, "again", v) for v in kept] + [on_disk(host, "again")]
        equal(now, new, f"volumes of the new {klass}")
        host.ok("rm", "again")


def test_an_export_writes_to_a_pipe_or_device_and_takes_no_place_of_one(host):
    # What a device is, is asked of a pipe: nobody's machine is put at risk.
    pipe = host.dir / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    host.ok("volume", "export", "app", "private", str(pipe))
    expect(len(reader.communicate(timeout=20)[0]) > 512, "the archive came through")
    expect(stat.S_ISFIFO(os.stat(pipe).st_mode), "the pipe is no pipe any more")
    ours, theirs = pty.openpty()
    r = host.qube("volume", "export", "app", "private", os.ttyname(theirs))
    expect(r.code == 2 and "nothing to look at" in r.why, f"a terminal: {r}")
    equal(select.select([ours], [], [], 0)[0], [], "a terminal that has something to show")
    os.close(ours)
    os.close(theirs)
    # What a link leads to is written.
    (host.dir / "file").write_text("old")
    (host.dir / "link").symlink_to("file")
    host.ok("volume", "export", "app", "private", str(host.dir / "link"))
    expect((host.dir / "link").is_symlink(), "the link is none any more")
    expect((host.dir / "file").stat().st_size > 512, "what it leads to is not written")
    r = host.qube("volume", "export", "app", "private", str(host.dir))
    expect(r.code == 1 and "Is a directory" in r.why, f"a directory: {r}")


def test_a_reader_that_goes_away_ends_the_export_alone(host):
    host.sh_ok("app", "head -c 30000000 /dev/zero >/home/user/big", "root")
    host.ok("shutdown", "app")
    p = host.spawn("volume", "export", "app", "private", stdout=subprocess.PIPE)
    p.stdout.read(1000)
    p.stdout.close()
    expect(p.wait(20) != 0, "an export that nobody read succeeded")
    host.sh_ok("app", "rm /home/user/big", "root")
    host.ok("shutdown", "app")
    tmp = host.state / "pools/default/tmp"
    until(lambda: not os.listdir(tmp), "nothing is left of it")


main(globals(), setup)
