# SPDX-License-Identifier: LGPL-2.1-or-later
"""Small packages for dpkg and rpm, and folders of them as `qube update --from` wants them."""

import hashlib
import platform
import shutil
import subprocess

import harness
from signing import sign


def run(*args):
    done = subprocess.run(
        list(map(str, args)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    harness.expect(done.returncode == 0, f"{args}: {done.stdout.decode(errors='replace')}")


def deb(folder, name, version, script="", fields="", payload=b""):
    """A package that has /usr/share/NAME with its version, and a script that ends its setup."""
    stage = folder / f".stage-{name}"
    shutil.rmtree(stage, ignore_errors=True)
    (stage / "DEBIAN").mkdir(parents=True, mode=0o755)
    (stage / "usr/share").mkdir(parents=True)
    (stage / "usr/share" / name).write_text(f"{version}\n")
    (stage / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nDescription: of a test\n"
        f"Maintainer: nobody <nobody@localhost>\n{fields}"
    )
    (stage / "usr/share" / f"{name}.payload").write_bytes(payload)
    if script:
        (stage / "DEBIAN/postinst").write_text(f"#!/bin/sh\n{script}\n")
        (stage / "DEBIAN/postinst").chmod(0o755)
    made = folder / f"{name}_{version}_all.deb"
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", stage, made)
    shutil.rmtree(stage)
    return made


def rpm(folder, name, version, script="true"):
    """The same for rpm."""
    top = folder / f".top-{name}"
    top.mkdir()
    spec = top / "a.spec"
    spec.write_text(
        f"Name: {name}\nVersion: {version}\nRelease: 1\nSummary: of a test\nLicense: none\n"
        "BuildArch: noarch\nAutoReqProv: no\n%description\nOf a test.\n"
        f"%install\nmkdir -p %{{buildroot}}/usr/share\necho {version} "
        f">%{{buildroot}}/usr/share/{name}\n%files\n/usr/share/{name}\n%post\n{script}\n"
    )
    run(
        *("rpmbuild", "--quiet", "-bb", "--define", f"_topdir {top}"),
        *("--define", "_binary_payload w1.gzdio", "--define", "__os_install_post %{nil}"),
        *("--define", f"_build_id_links none", "--define", "_rpmfilename %%{NAME}.rpm", spec),
    )
    made = folder / f"{name}-{version}-1.noarch.rpm"
    shutil.move(top / "RPMS" / f"{name}.rpm", made)
    shutil.rmtree(top)
    return made


def index(host, folder, name="ours"):
    """SHA256SUMS and its signature."""
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n"
        for p in sorted(folder.iterdir())
        if p.suffix in (".deb", ".rpm")
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))
    sign(host, folder / "SHA256SUMS", name)


def can():
    """Why not, or None."""
    for program in ("dpkg-deb", "rpmbuild", "minisign"):
        if not shutil.which(program):
            return f"no {program} here"
    return None if platform.system() == "Linux" else "no Linux"
