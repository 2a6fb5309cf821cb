# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the checks of this folder share: the tree's files, and how a finding is printed.

Each check is a program: `check-x [--root DIR]`, silent and 0 when all is well, else one line
`file:line: reason` a finding and status 1."""
import argparse
import os
import re
import sys

TOP = ("include", "libqube", "daemon", "bindings", "examples", "tests", "docs", "pkgconfig",
       "cmake", ".ci")
TOP_FILES = ("CMakeLists.txt", "CMakePresets.json", "README.md", "CHANGELOG.md")
findings = []


def parser(description):
    p = argparse.ArgumentParser(description=description)
    here = os.path.dirname(os.path.abspath(__file__))
    p.add_argument("--root", default=os.path.dirname(os.path.dirname(here)),
                   help="the tree to check")
    return p


def report(path, line, reason):
    findings.append((path, line, reason))


def finish():
    for path, line, reason in sorted(findings):
        print("%s:%d: %s" % (path, line, reason))
    sys.exit(1 if findings else 0)


def files(root, under=TOP, suffixes=None):
    """Paths relative to root of every file below the named folders, sorted."""
    for top in under:
        for folder, folders, names in os.walk(os.path.join(root, top)):
            folders[:] = sorted(d for d in folders if d not in ("__pycache__", "target"))
            for name in sorted(names):
                path = os.path.join(folder, name)
                if os.path.islink(path) or (suffixes and not name.endswith(suffixes)):
                    continue
                yield os.path.relpath(path, root)


def read(root, path):
    """The text of a file, or None if it is not text."""
    with open(os.path.join(root, path), "rb") as f:
        data = f.read()
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def code_only(text):
    """C text with comments, strings and characters blanked; the line structure stays."""
    def blank(m):
        kept = m.group(0)
        if kept[0] in "\"'":
            return kept[0] + re.sub(r"[^\n]", " ", kept[1:-1]) + kept[0]
        return re.sub(r"[^\n]", " ", kept)

    return re.sub(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", blank,
                  text, flags=re.S)


def line_of(text, at):
    return text.count("\n", 0, at) + 1
