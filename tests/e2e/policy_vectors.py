#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs every policy vector through a program: policy_vectors.py VECTORS PROGRAM [ARGS...]."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

LEAST = 134
STATUS = {"allow": 0, "deny": 1, "ask": 3, "policy-error": 4}


def command(program, root, vector):
    request = vector["request"]
    args = program + [
        "check",
        "--dir",
        str(root),
        "--system-info",
        str(root / "system.json"),
        "--source",
        request["source"],
        "--target",
        request["target"],
        "--service",
        request["service"],
        "--arg",
        request["argument"],
        "--json",
    ]
    if "requested_source" in request:
        args += ["--requested-source", request["requested_source"]]
    answer = vector.get("answer")
    if answer:
        args += ["--answer", "allow:" + answer["target"] if answer["allow"] else "deny"]
    return args


def differences(expect, got, status):
    found = []
    for key, want in expect.items():
        if got.get(key) != want:
            found.append(f"{key} is {got.get(key)!r}, expected {want!r}")
    if expect["result"] == "allow":
        for key in ("target_uuid", "service", "policy_source"):
            if key in got and key not in expect:
                found.append(f"{key} is {got[key]!r}, expected none")
    if status != STATUS[expect["result"]]:
        found.append(f"exit status {status}, expected {STATUS[expect['result']]}")
    return found


def run(program, vector, systems):
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for folder in ("policy.d", "run.d", "legacy"):
            (root / folder).mkdir()
        for path, text in vector["files"].items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        (root / "system.json").write_text(json.dumps(systems[vector["system"]]))
        done = subprocess.run(
            command(program, root, vector), capture_output=True, timeout=30, check=False
        )
        try:
            got = json.loads(done.stdout)
        except ValueError:
            return [
                f"exit status {done.returncode}, stdout {done.stdout!r}, " f"stderr {done.stderr!r}"
            ]
        return differences(vector["expect"], got, done.returncode)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    program = [os.path.abspath(sys.argv[2])] + sys.argv[3:]
    systems = json.loads((folder / "systems.json").read_text())
    passed = failed = 0
    for path in sorted(folder.glob("[0-9]*.json")):
        for vector in json.loads(path.read_text())["vectors"]:
            found = run(program, vector, systems)
            if found:
                failed += 1
                print(f"{vector['id']} ({vector['note']}): " + "; ".join(found))
            else:
                passed += 1
    print(f"{passed} passed, {failed} failed")
    if passed + failed < LEAST:
        print(f"fewer than {LEAST} vectors")
        failed += 1
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
