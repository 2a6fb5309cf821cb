#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Templates out of files: tar in every packing, images in the layout of the OCI, signatures; and
all that an archive can do to who unpacks it."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile

from harness import equal, expect, main
from signing import keys, sign

BUSYBOX = "/bin/busybox"
TARGZ = "application/vnd.oci.image.layer.v1.tar+gzip"
TAR = "application/vnd.oci.image.layer.v1.tar"


def entry(name, kind=tarfile.REGTYPE, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(data)
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    info.mtime = 1_700_000_000
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def tar(*entries, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.PAX_FORMAT) as t:
        for info, data in entries:
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def root():
    """A root that a qube can start from: one static program with many names."""
    with open(BUSYBOX, "rb") as f:
        program = f.read()
    return [
        entry("./", tarfile.DIRTYPE),
        entry("bin", tarfile.DIRTYPE),
        entry("bin/busybox", data=program, mode=0o755),
        entry("bin/sh", tarfile.SYMTYPE, linkname="busybox"),
        entry("bin/cat", tarfile.LNKTYPE, linkname="bin/busybox"),
        entry("etc", tarfile.DIRTYPE),
        entry(
            "etc/passwd",
            data=b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
        ),
        entry("etc/group", data=b"root:x:0:\nuser:x:1000:\n"),
        entry("root", tarfile.DIRTYPE, mode=0o700),
        entry("tmp", tarfile.DIRTYPE, mode=0o1777),
        entry("etc/note", data=b"from the archive\n"),
    ]


def write(host, name, data):
    path = host.dir / name
    path.write_bytes(data)
    return str(path)


def refused(host, name, data, *words, args=("--unsigned",)):
    path = write(host, "bad.tar", data)
    done = host.qube("template", "import", name, "--from", path, *args)
    equal(done.code, 1, f"{name}: {done!r}")
    for word in words:
        expect(word in done.why, f"{name}: '{word}' is not in {done.why!r}")
    expect(name not in [q["name"] for q in json.loads(host.ok("ls", "--json").out)], "it is there")
    pool = host.state / "pools/default"
    equal(sorted(p.name for p in (pool / "tmp").iterdir()), [], "what is left in tmp")
    expect(not (pool / "volumes" / name).exists(), "no volume is left")
    return done.why


def tree(host, name):
    layer = (host.state / f"pools/default/volumes/{name}/root.vol").read_text().split()[-1]
    return host.state / "pools/default/layers" / layer


def setup(host):
    os.umask(0o022)


def test_a_tar_of_any_packing_becomes_a_template_that_runs(host):
    plain = tar(*root())
    kinds = {"plain": plain, "gz": gzip.compress(plain)}
    for name, program in (("xz", "xz"), ("bz2", "bzip2"), ("zst", "zstd")):
        if shutil.which(program):
            kinds[name] = subprocess.run(
                [program, "-q", "-c"], input=plain, stdout=subprocess.PIPE, check=True
            ).stdout
    for kind, data in kinds.items():
        path = write(host, f"root.{kind}", data)
        host.ok("template", "import", f"t-{kind}", "--from", path, "--unsigned")
        equal((tree(host, f"t-{kind}") / "etc/note").read_bytes(), b"from the archive\n", kind)
    host.ok("create", "small", "--template", "t-plain")
    equal(host.sh_ok("small", "cat /etc/note; id -un").text, "from the archive\nuser", "inside")
    equal(host.sh_ok("small", "id -u", user="root").text, "0", "root inside")
    host.ok("shutdown", "small")


def threat_17_privileges_and_devices_do_not_come_along(host):
    data = tar(
        *root(),
        entry("bin/su", data=b"x", mode=0o6755),
        entry("dev", tarfile.DIRTYPE),
        entry("dev/sda", tarfile.BLKTYPE, devmajor=8),
        entry("dev/mem", tarfile.CHRTYPE, devmajor=1, devminor=1),
        entry("run", tarfile.DIRTYPE),
        entry("run/pipe", tarfile.FIFOTYPE),
        entry(
            "etc/shadowed",
            data=b"x",
            pax_headers={
                "SCHILY.xattr.trusted.overlay.redirect": "/etc",
                "SCHILY.xattr.security.capability": "xxxx",
                "SCHILY.xattr.user.kept": "yes",
            },
        ),
    )
    host.ok("template", "import", "safe", "--from", write(host, "a.tar", data), "--unsigned")
    top = tree(host, "safe")
    equal((top / "bin/su").stat().st_mode & 0o7777, 0o755, "the mode of su")
    for name in ("dev/sda", "dev/mem", "run/pipe"):
        expect(not os.path.lexists(top / name), f"{name} is left out")
    equal(os.listxattr(top / "etc/shadowed"), ["user.kept"], "attributes")


def threat_10_and_11_entries_that_reach_out_are_refused(host):
    outside = host.dir / "outside"
    outside.mkdir()
    (outside / "victim").write_text("as before")
    into = str(outside)
    table = {
        "absolute": ([entry("/etc/x", data=b"x")], "absolute"),
        "dotdot": ([entry("../x", data=b"x")], ".."),
        "inner": ([entry("a/../../x", data=b"x")], ".."),
        "through": (
            [entry("d", tarfile.SYMTYPE, linkname=into), entry("d/victim", data=b"evil")],
            "no directory",
        ),
        "through-dir": (
            [entry("d", tarfile.SYMTYPE, linkname=into), entry("d/new", tarfile.DIRTYPE)],
            "no directory",
        ),
        "hard-out": (
            [entry("h", tarfile.LNKTYPE, linkname=f"../../../../{into}/victim")],
            "outside",
        ),
        "hard-abs": ([entry("h", tarfile.LNKTYPE, linkname=f"{into}/victim")], "outside"),
        "hard-through": (
            [
                entry("d", tarfile.SYMTYPE, linkname=into),
                entry("h", tarfile.LNKTYPE, linkname="d/victim"),
            ],
            "no file of this tree",
        ),
        "hard-to-link": (
            [
                entry("s", tarfile.SYMTYPE, linkname=f"{into}/victim"),
                entry("h", tarfile.LNKTYPE, linkname="s"),
            ],
            "no file of this tree",
        ),
        "under-file": ([entry("f", data=b"x"), entry("f/x", data=b"x")], "no directory"),
        "over-dir": (
            [entry("d", tarfile.DIRTYPE), entry("d/x", data=b"x"), entry("d", data=b"x")],
            "not empty",
        ),
        "ids": ([entry("f", data=b"x", uid=70000)], "no user"),
        "root-file": ([entry(".", data=b"x")], "root of the tree"),
        "deep": ([entry("d/" * 200 + "f", data=b"x")], "too long"),
        "long": ([entry("n" * 300, data=b"x")], "too long"),
    }
    for name, (entries, word) in table.items():
        refused(host, f"bad-{name}", tar(*entries), word)
    equal(sorted(p.name for p in outside.iterdir()), ["victim"], "what lies outside")
    equal((outside / "victim").read_text(), "as before", "its content")


def test_of_two_entries_with_one_name_the_later_counts(host):
    data = tar(
        *root(),
        entry("etc/note", data=b"second\n"),
        entry("etc/group", tarfile.SYMTYPE, linkname="passwd"),
        entry("etc/group", data=b"third\n"),
    )
    host.ok("template", "import", "twice", "--from", write(host, "b.tar", data), "--unsigned")
    top = tree(host, "twice")
    equal((top / "etc/note").read_bytes(), b"second\n", "a file over a file")
    expect(not (top / "etc/group").is_symlink(), "a file over a link")
    expect(b"root:" in (top / "etc/passwd").read_bytes(), "what the link pointed to")


def test_bombs_end_before_the_disk_does(host):
    info, _ = entry("hole")
    info.size = 1 << 50
    refused(host, "bomb-size", info.tobuf(tarfile.GNU_FORMAT) + bytes(1024), "tebibyte")
    many = b"".join(entry(f"d{i}", tarfile.DIRTYPE)[0].tobuf(tarfile.GNU_FORMAT) for i in range(40))
    refused(host, "cut", many[:-100], "damaged")
    refused(host, "noise", os.urandom(4096), "")
    refused(host, "nothing", bytes(10240), "empty")
    whole = gzip.compress(tar(*root()))
    refused(host, "half", whole[: len(whole) // 2], "")


def threat_26_nothing_is_read_before_its_signature_is_good(host):
    key = keys(host)
    data = gzip.compress(tar(*root()))
    path = write(host, "signed.tar", data)
    sign(host, path)
    host.ok("template", "import", "signed", "--from", path, "--key", key["ours"])
    legacy = write(host, "legacy.tar", data)
    sign(host, legacy, "ours", "-l")
    host.ok("template", "import", "legacy", "--from", legacy, "--key", key["ours"])

    def bad(name, word, **how):
        source = how.pop("source", path)
        args = ["--from", source, "--key", how.pop("by", key["ours"])]
        if "signature" in how:
            args += ["--signature", write(host, "sig", how["signature"])]
        done = host.qube("template", "import", name, *args)
        expect(done.code in (1, 126), f"{name}: {done!r}")
        expect(word in done.why, f"{name}: '{word}' is not in {done.why!r}")
        equal(host.qube("template", "import", "x", "--from", "/nonexistent").code, 2, "no word")

    good = open(path + ".minisig", "rb").read()
    lines = good.split(b"\n")
    bad("foreign", "another key", by=key["theirs"])
    other = write(host, "other.tar", data + b"\0")
    bad("other-file", "not one of this file", source=other, signature=good)
    # Damaged behind the signed bytes: it is not even tried to unpack.
    bad(
        "mutated", "not one of this file", source=write(host, "m.tar", b"\0" + data), signature=good
    )
    bad("none", "cannot read", source=write(host, "unsigned.tar", data))
    bad("cut", "no signature of minisign", signature=good[:-40])
    bad("more", "no signature of minisign", signature=good + b"more\n")
    bad("comment", "comment", signature=b"\n".join([*lines[:2], lines[2] + b"x", *lines[3:]]))
    bad("empty", "no signature", signature=b"")
    unsigned = host.qube("template", "import", "silent", "--from", path)
    equal(unsigned.code, 2, "neither a key nor the word")
    expect("--unsigned" in unsigned.why, f"it says what is missing: {unsigned.why}")


class Image:
    """An image in the layout of the OCI."""

    def __init__(self, path):
        self.path = path
        (path / "blobs/sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data, kind):
        digest = hashlib.sha256(data).hexdigest()
        (self.path / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    def manifest(self, layers):
        config = {"config": {"Cmd": ["/bin/evil"], "Env": ["LD_PRELOAD=/evil.so"]}}
        body = {
            "schemaVersion": 2,
            "config": self.blob(
                json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"
            ),
            "layers": [self.blob(data, kind) for data, kind in layers],
        }
        return self.blob(json.dumps(body).encode(), "application/vnd.oci.image.manifest.v1+json")

    def index(self, *manifests):
        body = {"schemaVersion": 2, "manifests": manifests}
        (self.path / "index.json").write_text(json.dumps(body))


def for_machine(manifest, machine):
    return {**manifest, "platform": {"os": "linux", "architecture": machine}}


def image(host, name):
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    i = Image(host.dir / name)
    base = tar(
        *root(),
        entry("opt", tarfile.DIRTYPE),
        entry("opt/old", data=b"old"),
        entry("opt/stays", data=b"stays"),
        entry("var", tarfile.DIRTYPE),
        entry("var/a", data=b"a"),
        entry("srv", tarfile.DIRTYPE),
        entry("srv/deep", tarfile.DIRTYPE),
        entry("srv/deep/f", data=b"f"),
    )
    # Marks are about the layers below, wherever they stand in theirs.
    upper = tar(
        entry("var/b", data=b"b"),
        entry("var/.wh..wh..opq"),
        entry("opt/.wh.old"),
        entry("srv", data=b"now a file"),
        entry("etc/note", data=b"from the second layer\n"),
    )
    ours = i.manifest([(base, TAR), (gzip.compress(upper), TARGZ)])
    i.index(
        for_machine(i.manifest([(tar(entry("x")), TAR)]), "riscv64"), for_machine(ours, machine)
    )
    return i


def test_layers_of_an_image_are_laid_over_each_other(host):
    i = image(host, "image")
    host.ok("template", "import", "layered", "--from", str(i.path), "--unsigned")
    top = tree(host, "layered")
    equal((top / "etc/note").read_bytes(), b"from the second layer\n", "the upper one counts")
    equal(sorted(p.name for p in (top / "opt").iterdir()), ["stays"], "a mark")
    equal(sorted(p.name for p in (top / "var").iterdir()), ["b"], "an opaque directory")
    equal((top / "srv").read_bytes(), b"now a file", "a file over a directory")
    host.ok("create", "imaged", "--template", "layered")
    equal(
        host.sh_ok("imaged", "cat /etc/note; echo $LD_PRELOAD").text, "from the second layer", "it"
    )
    host.ok("shutdown", "imaged")


def test_an_image_is_what_its_digests_say(host):
    key = keys(host)
    i = image(host, "image2")
    index = str(i.path / "index.json")
    sign(host, index)
    host.ok("template", "import", "s-image", "--from", str(i.path), "--key", key["ours"])
    layer = max((i.path / "blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)
    good = layer.read_bytes()
    for name, data in (
        ("flipped", good[:-1] + b"x"),
        ("longer", good + b"x"),
        ("short", good[:-1]),
    ):
        layer.write_bytes(data)
        done = host.qube("template", "import", name, "--from", str(i.path), "--key", key["ours"])
        expect(done.code == 1 and "other bytes" in done.why, f"{name}: {done!r}")
    layer.unlink()
    layer.symlink_to("/etc/shadow")
    done = host.qube("template", "import", "linked", "--from", str(i.path), "--unsigned")
    equal(done.code, 1, f"a blob that is a link: {done!r}")
    i.index(for_machine(i.manifest([(tar(entry("x")), TAR)]), "s390x"))
    done = host.qube("template", "import", "foreign", "--from", str(i.path), "--unsigned")
    expect(done.code == 1 and "not for this machine" in done.why, f"foreign: {done!r}")


main(globals(), setup)
