#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`qube policy graph` against pictures that were looked at: text, JSON, graphviz's language, SVG.

policy_graph.py QUBE GOLDEN_DIR [--update]"""

import json
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

POLICY = """\
demo.Greet    *     work        vault    allow
demo.Sign     +rsa  work        vault    ask default_target=vault
demo.Sign     *     work        vault    deny
demo.Pdf      *     @tag:office @dispvm  allow target=@dispvm:dvm
demo.Pick     *     mail        @anyvm   ask
admin.vm.List *     mgmt        dom0     allow target=dom0
demo.Both     +one  @anyvm      lab      allow
demo.Both     *     @anyvm      lab      allow
*             *     @anyvm      lab      allow
"""
HOSTILE = 'a"];evil[label="\\'


def qube(name, **more):
    return {"type": "AppVM", "power_state": "Running", "guivm": "dom0", "tags": [], **more}


SYSTEM = {
    "domains": {
        "dom0": {"type": "AdminVM"},
        "work": qube("work", tags=["office"], default_dispvm="dvm"),
        "vault": qube("vault"),
        "mail": qube("mail"),
        "mgmt": qube("mgmt", guivm=None),
        "lab": qube("lab"),
        "dvm": qube("dvm", template_for_dispvms=True),
    }
}


class Test:
    def __init__(self, program, golden, update):
        self.program, self.golden, self.update = program, pathlib.Path(golden), update
        self.failed = 0

    def run(self, *args):
        return subprocess.run(
            [self.program, "policy", "graph", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=60,
        )

    def check(self, good, what):
        print("ok  " if good else "FAILED", what)
        self.failed += not good

    def compare(self, name, *args):
        done = self.run(*args)
        path = self.golden / name
        if self.update:
            path.write_bytes(done.stdout)
        self.check(done.returncode == 0, f"{name}: exit status {done.returncode}")
        self.check(done.stdout == path.read_bytes(), f"{name} is as it was looked at")
        if done.stdout != path.read_bytes():
            sys.stdout.buffer.write(done.stdout)
        return done.stdout


def main(program, golden, *more):
    t = Test(program, golden, "--update" in more)
    with tempfile.TemporaryDirectory() as d:
        top = pathlib.Path(d)
        for name in ("policy.d", "run.d", "legacy"):
            (top / name).mkdir()
        rules = top / "policy.d/30-user.policy"
        rules.write_text(POLICY)
        info = top / "system.json"
        info.write_text(json.dumps(SYSTEM))
        given = ("--dir", d, "--system-info", str(info))
        t.compare("policy-graph.txt", *given)
        t.compare("policy-graph-work.txt", *given, "--source", "work")
        t.compare("policy-graph-vault.txt", *given, "--target", "vault", "--service", "demo.Sign")
        edges = json.loads(t.compare("policy-graph.json", *given, "--json"))["edges"]
        t.compare("policy-graph.dot", *given, "--format", "dot")

        # What it says is what a decision says.
        for e in edges:
            if e["service"] == "*" or e["result"] != "allow":
                continue
            service = e["service"].replace("+*", "+anything")
            target = "@dispvm" if e["target"] == "@dispvm:dvm" else e["target"]
            done = subprocess.run(
                [program, "policy", "check", "--json", *given]
                + ["--source", e["source"], "--target", target, "--service", service],
                stdout=subprocess.PIPE,
            )
            said = json.loads(done.stdout)
            good = (said["result"], said["file"], said["line"]) == ("allow", e["file"], e["line"])
            t.check(good, f"{e['source']} {service} {target}: {said['result']}")

        svg = t.run(*given, "--format", "svg")
        root = ET.fromstring(svg.stdout)
        texts = {x.text for x in root.iter("{http://www.w3.org/2000/svg}text")}
        t.check({"work", "vault", "demo.Greet+*"} <= texts, "the picture has qubes and services")

        SYSTEM["domains"][HOSTILE] = qube("hostile")
        info.write_text(json.dumps(SYSTEM))
        svg = t.run(*given, "--format", "svg", "--target", "lab")
        root = ET.fromstring(svg.stdout)
        texts = {x.text for x in root.iter("{http://www.w3.org/2000/svg}text")}
        t.check("evil" not in texts, "threat_09: a name cannot become a part of the picture")
        rules.write_text("demo.Greet * work\n")
        bad = t.run(*given)
        t.check(bad.returncode == 4, f"a policy with an error: exit status {bad.returncode}")
        t.check(b"policy.d/30-user.policy:1" in bad.stderr, "and it says where")
        t.check(t.run("--dir", d + "/none", "--system-info", str(info)).returncode == 2, "no dir")
        t.check(t.run("--format", "gif").returncode == 2, "an unknown format")
        t.check(t.run(*given[:2], "--socket", d + "/none").returncode == 1, "no host to ask")
    return 1 if t.failed else 0


sys.exit(main(*sys.argv[1:]))
