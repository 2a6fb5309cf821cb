#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The template that all scenarios start from: fixture.py BIN import|remove."""

import shutil
import sys

import harness


def main():
    reason = harness.why_not()
    if reason:
        print(f"SKIP: {reason}")
        sys.exit(harness.SKIPPED)
    place = harness.golden(harness.program_dir())
    shutil.rmtree(place, ignore_errors=True)
    if sys.argv[2] == "import":
        place.mkdir(mode=0o700)
        with harness.Host(template=False, state=place / "state") as host:
            host.ok(
                "template",
                "import",
                "base",
                "--include",
                harness.PACKAGES,
                "--yes",
                "--quiet",
                timeout=120,
            )
    print("1 passed, 0 failed")


main()
