# SPDX-License-Identifier: LGPL-2.1-or-later
"""A qubed of one's own for each scenario, its qubes, and the walk over a scenario's tests.

A scenario is a program: SCENARIO.py BIN, BIN being the folder of the built programs. Its test
functions are called in the order in which they are written; a name with threat_NN_ is the test of
that row of docs/THREATS.md. The template comes from `fixture.py import` (once for all scenarios),
or is imported on the spot. Nothing waits without a bound."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

PACKAGES = "python3,busybox-static"
SKIPPED = 77
POLL = 0.02
# How much longer everything takes here: an emulated machine, where others have the processors too.
SLOW = float(os.environ.get("QUBE_E2E_SLOW", "1"))
# A service says what it is by its name; these are what most scenarios need.
SERVICES = "/usr/local/etc/qubes-rpc"


class Skip(Exception):
    """A test that cannot be made here; the text says why."""


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def equal(got, want, what):
    expect(got == want, f"{what}: got {got!r}, expected {want!r}")


def until(condition, what, seconds=15):
    """Waits for a true value and returns it."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        expect(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(POLL)


def golden(bin_dir):
    """Where the imported template waits for the scenarios of this build."""
    mark = hashlib.sha256(str(bin_dir).encode()).hexdigest()[:12]
    return pathlib.Path("/var/tmp") / f"qube-e2e-{mark}"


def program_dir():
    expect(len(sys.argv) > 1, "usage: SCENARIO.py BIN [TEST...]")
    return pathlib.Path(sys.argv[1]).resolve()


def why_not():
    """Why no qube can run here, or None."""
    if os.geteuid() != 0:
        return "not root"
    try:
        with open("/proc/sys/user/max_user_namespaces", encoding="ascii") as f:
            if int(f.read()) < 64:
                return "user.max_user_namespaces is too small"
    except OSError:
        return "this kernel has no user namespaces"
    if "QUBE_E2E_ROOTFS" in os.environ:
        return None
    if not pathlib.Path("/var/lib/dpkg/status").exists():
        return "not a Debian system, so no template can be imported"
    return None


# --- processes ---


def children(pid):
    """All descendants, as /proc shows them."""
    parents = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError):
            text = pathlib.Path("/proc", entry, "stat").read_text(errors="replace")
            parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(entry))
    found = []
    todo = [pid]
    while todo:
        more = parents.get(todo.pop(), [])
        found += more
        todo += more
    return found


def command_line(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    return []


def status_of(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text(errors="replace")
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def transferred(pid):
    """Bytes that a process read and wrote, whatever by."""
    text = pathlib.Path(f"/proc/{pid}/io").read_text(encoding="ascii")
    fields = dict(line.split(": ") for line in text.splitlines())
    return int(fields["rchar"]) + int(fields["wchar"])


def gone(pid):
    try:
        return status_of(pid)["State"].startswith(("Z", "X"))
    except (OSError, KeyError):
        return True


class Result:
    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err

    @property
    def text(self):
        return self.out.decode(errors="replace").strip()

    @property
    def why(self):
        return self.err.decode(errors="replace").strip()

    def __repr__(self):
        return f"exit {self.code}, out {self.out[-2000:]!r}, err {self.err[-2000:]!r}"


class Host:
    """One qubed with folders of its own."""

    def __init__(self, template=True, state=None):
        self.bin = program_dir()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="qube-e2e-", dir="/var/tmp"))
        self.state = pathlib.Path(state) if state else self.dir / "state"
        self.run_dir = self.dir / "run"
        self.socket = self.dir / "sock"
        self.policy_root = self.dir / "policy"
        self.log_path = self.dir / "log"
        self.daemon = None
        self.watchers = []
        self.inside = {}
        for name in ("policy.d", "run.d", "legacy"):
            (self.policy_root / name).mkdir(parents=True)
        if "QUBE_E2E_KERNELS" in os.environ:
            self.state.mkdir(mode=0o700)
            (self.state / "kernels").symlink_to(os.environ["QUBE_E2E_KERNELS"])
        if template:
            self.copy_template()

    # --- the daemon ---

    def copy_template(self):
        """Layers are never written to, so links of their files will do."""
        source = golden(self.bin) / "state"
        if "QUBE_E2E_ROOTFS" in os.environ:
            self.start()
            self.ok("template", "import", "base", "--from", os.environ["QUBE_E2E_ROOTFS"],
                    "--unsigned", "--quiet", timeout=120)
            return
        if not (source / "qubes" / "base.json").exists():
            self.start()
            self.ok(
                "template", "import", "base", "--include", PACKAGES, "--yes", "--quiet", timeout=120
            )
            return
        shutil.copytree(
            source,
            self.state,
            symlinks=True,
            copy_function=os.link,
            ignore=shutil.ignore_patterns("layers", "lock", "*.json", "*.vol"),
        )
        for path in source.rglob("*"):
            if path.is_file() and (path.suffix in (".json", ".vol")) and "layers" not in path.parts:
                shutil.copy2(path, self.state / path.relative_to(source))
        subprocess.run(
            ["cp", "-al", source / "pools/default/layers", self.state / "pools/default"],
            check=True,
            timeout=60,
        )

    def daemon_args(self):
        return [
            self.bin / "qubed",
            "--state-dir",
            self.state,
            "--run-dir",
            self.run_dir,
            "--policy-root",
            self.policy_root,
            "--socket",
            self.socket,
            "--driver",
            os.environ.get("QUBE_E2E_DRIVER", "local"),
        ]

    def start(self, wait=True):
        log = open(self.log_path, "ab")
        before = self.log_path.stat().st_size
        with log:
            self.daemon = subprocess.Popen(
                self.daemon_args(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if wait:
            until(
                lambda: b"ready at" in self.log_bytes()[before:] or self.daemon.poll() is not None,
                "qubed is ready",
            )
            expect(self.daemon.poll() is None, f"qubed ended: {self.log()}")
        return self

    def stop(self):
        """An orderly end; returns its status."""
        if not self.daemon:
            return 0
        left = children(self.daemon.pid)
        self.daemon.send_signal(signal.SIGCONT)
        self.daemon.send_signal(signal.SIGTERM)
        try:
            code = self.daemon.wait(60)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait(10)
            code = -1
        self.daemon = None
        for pid in left:
            if code < 0 and not gone(pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        return code

    def close(self):
        for w in self.watchers:
            w.close()
        code = self.stop()
        self.orphans()
        # What a killed qubed that had no successor mounted.
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
            mounts = [line.split()[4] for line in f]
        for mount in reversed(mounts):
            if mount.startswith(f"{self.dir}/") and mount != str(self.state):
                subprocess.run(["umount", mount], check=False, timeout=10)
        # Links of the template's files; another host's are not touched by that.
        subprocess.run(
            ["rm", "-rf", "--one-file-system", self.dir],
            check=False,
            timeout=60,
            stderr=subprocess.DEVNULL,
        )
        expect(code == 0, "qubed did not end in order")

    def __enter__(self):
        return self if self.daemon else self.start()

    def __exit__(self, kind, value, trace):
        if kind is None or kind is Skip:
            self.close()
            return
        sys.stdout.write("the log of qubed ends:\n" + self.log()[-3000:] + "\n")
        with contextlib.suppress(AssertionError):
            self.close()

    def log_bytes(self):
        return self.log_path.read_bytes() if self.log_path.exists() else b""

    def log(self):
        return self.log_bytes().decode(errors="replace")

    @property
    def pid(self):
        return self.daemon.pid

    def broker(self):
        """Its process id."""
        for pid in children(self.pid):
            line = command_line(pid)
            if line[1:2] == [b"--broker"] and not gone(pid):
                return pid
        return None

    # --- the command line ---

    def command(self, *args):
        return [str(self.bin / "qube"), "--socket", str(self.socket), *map(str, args)]

    def qube(self, *args, data=b"", timeout=60):
        done = subprocess.run(
            self.command(*args), input=data, capture_output=True, check=False,
            timeout=timeout * SLOW
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def ok(self, *args, data=b"", timeout=60):
        r = self.qube(*args, data=data, timeout=timeout)
        expect(r.code == 0, f"qube {' '.join(map(str, args))[:300]}: {r}")
        return r

    def spawn(self, *args, **how):
        how = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **how,
        }
        return subprocess.Popen(self.command(*args), **how)

    def sh(self, name, script, user=None, data=b"", timeout=60):
        """A shell script in a qube."""
        as_user = ["--user", user] if user else []
        return self.qube("run", *as_user, name, "--", script, data=data, timeout=timeout)

    def sh_ok(self, name, script, user=None, data=b"", timeout=60):
        r = self.sh(name, script, user, data, timeout)
        expect(r.code == 0, f"in {name}: {script[:300]}: {r}")
        return r

    def python(self, name, script, *args, user=None, timeout=60):
        """A Python program in a qube."""
        quoted = " ".join("'" + str(a).replace("'", "'\\''") + "'" for a in args)
        return self.sh(name, "exec python3 - " + quoted, user, script.encode(), timeout)

    def python_ok(self, name, script, *args, user=None, timeout=60):
        r = self.python(name, script, *args, user=user, timeout=timeout)
        expect(r.code == 0, f"program in {name}: {r}")
        return r

    def call(self, source, target, service, data=b"", timeout=60):
        """A call from one qube to another."""
        return self.sh(
            source,
            f"exec /run/qube/guest/qube-rpc '{target}' '{service}'",
            data=data,
            timeout=timeout,
        )

    def create(self, name, *args):
        self.ok("create", name, "--template", "base", *args)
        return name

    def service(self, name, service, script, user="root"):
        """Puts an executable service into the private volume of a qube."""
        self.sh_ok(
            name,
            f"mkdir -p {SERVICES} && cat >{SERVICES}/{service} && "
            f"chmod 755 {SERVICES}/{service}",
            user,
            script.encode(),
        )

    def policy(self, text, name="30-user.policy", wait=True):
        """Replaces a policy file as an editor does; qubed has seen it at return."""
        before = self.log().count("policy loaded") + self.log().count("policy")
        path = self.policy_root / "policy.d" / name
        new = path.with_name("." + name + ".new")
        new.write_text(text)
        new.rename(path)
        if wait and self.daemon:
            until(
                lambda: self.log().count("policy loaded") + self.log().count("policy") > before,
                "qubed has read the policy",
            )

    def qubes(self):
        return {v["name"]: v for v in json.loads(self.ok("ls", "--json").out)}

    def state_of(self, name):
        found = self.qubes().get(name)
        return found and found["state"]

    def home(self, name):
        """The home of the qube's user, seen from the host; not to be trusted."""
        return self.state / "pools/default/volumes" / name / "private/home/user"

    def box(self, name):
        """PID 1 of a running qube, also of one that another qubed started."""
        return self.boxes().get(name)

    def boxes(self):
        """Name to PID 1, as the records of running qubes tell it."""
        found = {}
        for path in (self.run_dir / "boxes").glob("*/record"):
            with contextlib.suppress(OSError, StopIteration, ValueError):
                lines = path.read_text(errors="replace").splitlines()
                pid = int(next(v for v in lines if v.startswith("pid ")).split()[1])
                if command_line(pid)[:1] == [b"qube-box"]:
                    found[path.parent.name] = pid
        return found

    def orphans(self):
        """Ends what a killed qubed that had no successor left running."""
        for pid in self.boxes().values():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(AssertionError):
                until(lambda p=pid: gone(p), "it is gone", 5)

    def events(self):
        w = Events(self)
        self.watchers.append(w)
        return w

    @staticmethod
    def is_worker(pid):
        line = command_line(pid)  # once: it may end between two looks
        return bool(line) and line[0].endswith(b"qube-worker")

    def traces(self):
        """What of running qubes can be seen from outside: compared before and after."""
        folders = [p for p in (self.run_dir, self.state) if p.exists()]
        files = {
            os.path.join(at, n)
            for d in folders
            for at, dirs, names in os.walk(d)
            for n in dirs + names
            if "/layers" not in at
        }
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
            mounts = {line.split()[4] for line in f}
        # One worker stays for the next job.
        pids = [p for p in children(self.pid) if not self.is_worker(p)] if self.daemon else []
        for box in self.boxes().values():
            pids += [p for p in (box, *children(box)) if p not in pids]
        spaces = set()
        groups = set()
        for pid in pids:
            with contextlib.suppress(OSError):
                for kind in ("mnt", "net", "pid", "user", "ipc", "uts"):
                    spaces.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
                for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
                    if line.startswith("0::") and "/qube-" in line:
                        groups.add(line[3:])
        return {
            "files": files,
            "mounts": mounts,
            "processes": set(pids),
            "namespaces": spaces,
            "cgroups": groups,
        }


def cgroup_root():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
        for line in f:
            if " - cgroup2 " in line:
                return line.split()[4]
    return None


def nothing_left(host, before, during=None):
    """Nothing more than before is there, and of what was there meanwhile no group either."""
    root = cgroup_root()
    groups = (during or {}).get("cgroups", set()) - before["cgroups"]
    left = []

    def clean():
        after = host.traces()
        left[:] = [
            f"{kind}: {sorted(after[kind] - had)[:10]}"
            for kind, had in before.items()
            if after[kind] - had
        ]
        left.extend(f"group: {g}" for g in groups if root and os.path.exists(root + g))
        return not left

    try:
        until(clean, "nothing is left behind")
    except AssertionError as e:
        raise AssertionError(f"{e}; left: {left}") from None


class Events:
    """qube events --json, read along."""

    def __init__(self, host):
        self.list = []
        self.process = host.spawn("events", "--json", stdin=subprocess.DEVNULL)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        until(lambda: self.list, "the first event")

    def read(self):
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self.list.append(json.loads(line))

    def wait(self, name, subject=None, seconds=15, **fields):
        """The first event that fits."""

        def found():
            for e in list(self.list):
                values = e.get("fields", {})
                if (
                    e.get("event") == name
                    and (subject is None or e.get("subject") == subject)
                    and all(values.get(k) == v for k, v in fields.items())
                ):
                    return e
            return None

        try:
            return until(found, f"event {name} {subject} {fields}", seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}; seen: {self.list[-10:]}") from None

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        self.thread.join(10)
        for f in (self.process.stdout, self.process.stderr):
            f.close()


class Scenario:
    """What a scenario's program does at its end: run every test_ and threat_ function, in order.
    Each gets the host that `setup` made once."""

    def __init__(self, names, setup=None):
        self.tests = [
            f for n, f in names.items() if n.startswith(("test_", "threat_")) and callable(f)
        ]
        wanted = sys.argv[2:]
        if wanted:
            self.tests = [f for f in self.tests if f.__name__ in wanted]
        self.setup = setup
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def one(self, test, *args):
        name = test.__name__
        begin = time.monotonic()
        try:
            test(*args)
        except Skip as e:
            self.counts["skipped"] += 1
            print(f"skipped at {name}: {e}", flush=True)
            return
        except Exception:  # pylint: disable=broad-except
            self.counts["failed"] += 1
            print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
            return
        self.counts["passed"] += 1
        print(f"ok   {name} ({time.monotonic() - begin:.2f} s)", flush=True)

    def all(self):
        if not self.setup:
            for test in self.tests:
                self.one(test)
            return
        with Host() as host:
            self.setup(host)
            for test in self.tests:
                failed = self.counts["failed"]
                at = len(host.log())
                self.one(test, host)
                if self.counts["failed"] > failed:
                    print("the log of qubed meanwhile:\n" + host.log()[at:][-3000:], flush=True)


def main(names, setup=None):
    reason = why_not()
    if reason:
        print(f"SKIP: {os.path.basename(sys.argv[0])}: {reason}")
        sys.exit(SKIPPED)
    s = Scenario(names, setup)
    try:
        s.all()
    except Exception:  # pylint: disable=broad-except
        s.counts["failed"] += 1
        traceback.print_exc(file=sys.stdout)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**s.counts))
    sys.exit(1 if s.counts["failed"] or not s.counts["passed"] else 0)
