#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random life of qubes by eight clients while our processes are killed at random: soak.py BIN.
QUBE_SOAK_SECONDS says how long (default 120), QUBE_SOAK_SEED repeats a run's choices."""

import collections
import os
import random
import signal
import subprocess
import threading
import time

from faults import groups, halt, snapshot, sound
from harness import Host, children, command_line, expect, main, until

CLIENTS = 8
ROLES = ("qubed", "broker", "box", "agent", "worker")
WEIGHTS = (2, 3, 4, 4, 2)


class Soak:
    def __init__(self, host, seed, seconds):
        self.host = host
        self.seed = seed
        self.end = time.monotonic() + seconds
        self.lock = threading.Lock()
        self.ops = collections.Counter()
        self.failed = collections.Counter()
        self.kills = collections.Counter()
        self.broken = []

    def over(self):
        return time.monotonic() >= self.end or self.broken

    # --- who kills, and who starts qubed again ---

    def find(self, role):
        if role == "qubed":
            return self.host.pid
        if role == "broker":
            return self.host.broker()
        for pid in children(self.host.pid):
            line = command_line(pid)[:1]
            if role == "worker" and self.host.is_worker(pid):
                return pid
            if line == [b"qube-" + role.encode()]:
                return pid
        return None

    def kill_at_random(self):
        pick = random.Random(f"{self.seed} kills")
        while not self.over():
            time.sleep(pick.uniform(0.2, 1.5))
            role = pick.choices(ROLES, WEIGHTS)[0]
            pid = self.find(role)
            if not pid:
                continue
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.kills[role] += 1
            if role == "qubed":
                self.host.daemon.wait(10)
                self.host.start()

    # --- the clients ---

    def run(self, what, *args, data=b""):
        """True if the command says that it was done."""
        try:
            r = self.host.qube(*args, data=data, timeout=90)
        except subprocess.TimeoutExpired:
            self.broken.append(f"no end of: qube {' '.join(args)}")
            return False
        with self.lock:
            self.ops[what] += 1
            if r.code:
                self.failed[f"{what}: {r.why[-70:] if r.code == 1 else f'exit {r.code}'}"] += 1
        if r.code < 0:
            self.broken.append(f"qube {' '.join(args)} ended with {r}")
        return r.code == 0

    def guard(self, fn, *args):
        try:
            fn(*args)
        except Exception as e:  # pylint: disable=broad-except
            self.broken.append(f"{fn.__name__}: {e!r}")


class Client:
    """Has a template, a qube of it and names of its own, and remembers what was said to be done."""

    def __init__(self, soak, number):
        self.soak = soak
        self.number = number
        self.pick = random.Random(f"{soak.seed} {number}")
        self.tpl, self.app, self.extra = f"t{number}", f"a{number}", f"x{number}"
        self.n = 0
        self.writes = 0
        self.written = 0  # in the template, not yet kept
        self.kept = 0
        self.home = 0
        self.labels = {"red"}

    def furnish(self):
        self.soak.host.ok("clone", "base", self.tpl)
        self.soak.host.ok("create", self.app, "--template", self.tpl)

    def write(self):
        self.writes += 1
        # At once: a shell may be killed between the two halves of a plain redirection.
        self.n += 1
        args = (
            "run",
            "--user",
            "root",
            self.tpl,
            "--",
            f"echo {self.n} >/etc/new && mv /etc/new /etc/mark",
        )
        if self.soak.run("write", *args):
            self.written = self.n

    def commit(self):
        written = self.written
        if self.soak.run("commit", "shutdown", "--or-kill", "--timeout", "5", self.tpl):
            self.kept = written

    def save(self):
        self.n += 1
        if self.soak.run(
            "save", "run", self.app, "--", f"echo {self.n} >new && sync new && mv new mark"
        ):
            self.home = self.n

    def label(self):
        new = self.pick.choice(("red", "green", "blue", "gray"))
        self.labels.add(new)
        if self.soak.run("label", "prefs", self.app, "label", new):
            self.labels = {new}

    def life(self):
        verb = self.pick.choice(("start", "kill", "pause", "unpause", "shutdown"))
        more = ("--or-kill", "--timeout", "5") if verb == "shutdown" else ()
        self.soak.run(verb, verb, *more, self.app)

    def come_and_go(self):
        how = self.pick.choice(
            (("create", self.extra, "--template", self.tpl), ("clone", self.app, self.extra))
        )
        self.soak.run(how[0], *how)
        self.soak.run("rm", "rm", self.extra)

    def disposable(self):
        self.soak.run("disposable", "run", "--disposable=dvm", "--", "exit 0")

    def policy(self):
        rule = f"demo.N{self.number} * {self.app} @anyvm allow\n"
        self.soak.host.policy(rule, f"40-{self.number}.policy", wait=False)
        self.soak.ops["policy"] += 1

    def live(self):
        steps = (self.write, self.commit, self.save, self.label, self.life, self.come_and_go)
        while not self.soak.over():
            self.pick.choice((*steps, self.disposable, self.policy))()

    def number_in(self, name, path, user):
        r = self.soak.host.sh(name, f"cat {path} 2>/dev/null || echo 0", user)
        expect(r.code == 0 and r.text.isdecimal(), f"{name}: {path} holds {r}")
        return int(r.text)

    def check(self):
        host = self.soak.host
        n = self.number_in(self.tpl, "/etc/mark", "root")
        expect(n >= self.kept, f"{self.tpl} kept {self.kept} and has {n}")
        n = self.number_in(self.app, "/etc/mark", None)
        expect(n >= self.kept, f"{self.app} should see {self.kept} and sees {n}")
        n = self.number_in(self.app, "mark", None)
        expect(n >= self.home, f"{self.app} saved {self.home} and has {n}")
        label = host.qubes()[self.app]["label"]
        expect(label in self.labels, f"{self.app} is {label}, not of {self.labels}")
        if self.extra in host.qubes():
            host.ok("rm", self.extra)


def report(soak, seconds):
    print(f"seed {soak.seed}, {seconds} s, {sum(soak.ops.values())} operations")
    print("done or refused: " + ", ".join(f"{k} {v}" for k, v in sorted(soak.ops.items())))
    print("killed: " + ", ".join(f"{k} {v}" for k, v in sorted(soak.kills.items())))
    print(f"failed: {sum(soak.failed.values())}, most often:")
    for why, n in soak.failed.most_common(12):
        print(f"  {n:5} {why}", flush=True)


def threat_34_nothing_is_lost_or_left_when_processes_die_at_random():
    seconds = int(os.environ.get("QUBE_SOAK_SECONDS", "120"))
    seed = os.environ.get("QUBE_SOAK_SEED") or str(time.time_ns())
    print(f"seed {seed}: repeat with QUBE_SOAK_SEED={seed}", flush=True)
    with Host() as host:
        host.create("dvm", "-p", "template_for_dispvms=True")
        soak = Soak(host, seed, seconds)
        clients = [Client(soak, i) for i in range(CLIENTS)]
        for c in clients:
            c.furnish()
        clean = groups()
        soak.end = time.monotonic() + seconds
        threads = [threading.Thread(target=soak.guard, args=(c.live,)) for c in clients]
        threads.append(threading.Thread(target=soak.guard, args=(soak.kill_at_random,)))
        for t in threads:
            t.start()
        for t in threads:
            t.join(seconds + 120)
        report(soak, seconds)
        expect(not soak.broken, f"broken: {soak.broken}")
        expect(not any(t.is_alive() for t in threads), "a client hangs")
        expect(soak.kills["qubed"] or seconds < 30, "qubed was never killed")
        halt(host)
        # A broker that was killed again and again comes back a little later.
        tpl = clients[0].tpl
        until(lambda: host.sh(tpl, ":", "root").code == 0, "a call behind the last kill")
        for c in clients:
            c.check()
        halt(host)
        sound(host)
        pool = host.state / "pools/default"
        until(
            lambda: not [p for d in ("run", "tmp", "trash") for p in (pool / d).iterdir()],
            "the pool is tidy",
            60,  # layers may be being merged
        )
        until(lambda: not groups() - clean, "no group is left")
        now = snapshot(host)
        expect(not now["strays"], f"processes: {now['strays']}")
        boxes = list((host.run_dir / "boxes").iterdir())
        expect(not boxes, f"run directories: {boxes}")


main(globals())
