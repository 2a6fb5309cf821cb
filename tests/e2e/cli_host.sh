#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The command line against a real qubed and real qubes: each verb does what its manual says, in text
# and in JSON, with the exit status that is documented. Needs root.
#
#   cli_host.sh BIN_DIR [LIBEXEC_DIR]
set -u
bin=$1
helpers=${2:-$1}
passed=0
failed=0
daemon=
[ "$(id -u)" -eq 0 ] || {
	echo "SKIP: needs root"
	exit 0
}
"$bin/qube" doctor >/dev/null || {
	echo "SKIP: qubes cannot run on this machine"
	exit 0
}
dir=$(mktemp -d /var/tmp/qube-cli.XXXXXX) || exit 1
out=$dir/out
err=$dir/err

end() {
	trap - EXIT INT TERM HUP
	[ -z "$daemon" ] || {
		kill -TERM "$daemon" 2>/dev/null
		wait "$daemon"
	}
	rm -rf --one-file-system "$dir"
}
trap end EXIT
trap 'exit 1' INT TERM HUP

qube() {
	"$bin/qube" --socket "$dir/run/qubed.sock" "$@"
}

# try STATUS ARGUMENT... : runs qube, wants that exit status; $out and $err hold what it wrote.
try() {
	local wanted=$1
	local status

	shift
	qube "$@" >"$out" 2>"$err" </dev/null
	status=$?
	if [ "$status" -eq "$wanted" ]; then
		passed=$((passed + 1))
		return
	fi
	failed=$((failed + 1))
	echo "FAILED: qube $*: exit status $status, wanted $wanted"
	sed 's/^/    /' "$out" "$err"
}

# has FILE TEXT, hasnt FILE TEXT, is FILE TEXT: about the last try.
has() {
	if grep -qF -- "$2" "$1"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: no '$2' in:"
		sed 's/^/    /' "$1"
	fi
}

hasnt() {
	if ! grep -qF -- "$2" "$1"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: '$2' in:"
		sed 's/^/    /' "$1"
	fi
}

is() {
	if [ "$(cat "$1")" = "$2" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: wanted '$2', got:"
		sed 's/^/    /' "$1"
	fi
}

# json EXPRESSION WANTED: of the document in $out, called d.
json() {
	local got

	got=$(python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$out" "$1" 2>&1)
	if [ "$got" = "$2" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $1 is '$got', wanted '$2'"
	fi
}

# on_terminal ARGUMENT... : the same with a terminal as output; what it got is in $out.
on_terminal() {
	local quoted

	printf -v quoted '%q ' "$bin/qube" --socket "$dir/run/qubed.sock" "$@"
	TERM=dumb script -qec "$quoted" /dev/null >"$out" 2>&1 </dev/null
}

mkdir -p "$dir"/policy/{policy.d,run.d,legacy}
"$bin/qubed" --libexec-dir "$helpers" --state-dir "$dir/state" --run-dir "$dir/run" \
	--policy-root "$dir/policy" 2>"$dir/log" &
daemon=$!
for _ in $(seq 200); do
	grep -q '^qubed: ready' "$dir/log" && break
	sleep 0.05
done

# Templates and definitions.
try 0 template import base --dry-run --json
json 'd["imported"], d["files"] > 100' "(False, True)"
try 0 template ls --names
is "$out" ""
try 0 template import base
has "$err" "MiB will be copied"
try 0 template ls --names
is "$out" base
try 1 template import base
try 0 create a --template base --label blue -p netvm=
try 1 create a --template base
try 1 create b --template base -p nonsense=1
try 1 ls b
try 0 create dvm --template base --property template_for_dispvms=True
try 2 create
try 2 creat x
has "$err" "did you mean 'create'?"
try 2 template imprt base
has "$err" "did you mean 'template import'?"
try 2 create --templat base x
has "$err" "did you mean --template?"
try 2 frobnicate
has "$err" "qube help lists them"
try 0 --help
try 2 create x --disposable
try 0 clone a c --json
json 'd["name"]' c
try 0 rm c --json
json 'd["name"], d["removed"]' "('c', True)"
try 0 create far --class RemoteVM
try 0 rm far
try 2 ls --class nonsense
for verb in start shutdown kill pause rm logs; do
	try 1 $verb dom0
	has "$err" "'dom0' is the host itself"
done
try 125 run dom0 -- true
has "$err" "'dom0' is the host itself"
try 1 rm base
try 0 ls --json
json '[(x["name"], x["class"], x["template"]) for x in d if x["name"] == "a"]' \
	"[('a', 'AppVM', 'base')]"
json '{x["isolation"] for x in d if x["name"] != "dom0"}' "{'kernel-shared'}"

# Settings.
try 0 prefs a label green
try 0 prefs a label
is "$out" green
try 0 prefs a --json
json 'd["label"]["value"], d["label"]["default"], d["autostart"]["value"]' "('green', False, False)"
try 0 prefs a memory 500 --json
json 'd["memory"]["value"]' 500
try 0 prefs a --reset memory --json
json 'd["memory"]["default"]' True
try 1 prefs a no_such_property
try 2 prefs a label red --reset label
try 0 tags a add one two
try 0 tags a rm one --json
json '"one" in d, "two" in d' "(False, True)"
try 0 tags a --json
json '"one" in d, "two" in d' "(False, True)"
try 2 tags a paint one
try 0 features a color 'a b'
try 0 features a color
is "$out" "a b"
try 0 features a color blue --json
json 'd' "{'color': 'blue'}"
try 0 features a --unset color --json
json 'd' "{}"
try 1 features a color
try 0 volume ls a --json
json 'sorted(v["name"] for v in d)' "['private', 'root', 'volatile']"
try 0 volume info a root
has "$out" snapshot
try 0 pool ls --json
json 'd[0]["driver"]' tree
# The Admin API answers PermissionDenied for a pool that it does not know.
try 1 pool info nowhere
try 0 admin admin.vm.List a
has "$out" "a class=AppVM state=Halted"
try 1 admin admin.no.such.Method

# What weakens a qube's isolation is listed.
try 0 features a local.userns 1
try 0 ls a
has "$out" "kernel-shared, userns"
try 0 ls a --json
json 'd[0]["userns"], d[0]["new_privs"]' "(True, False)"
try 0 features a --unset local.userns

# Life.
try 125 run --no-start a -- true
try 0 start a --trace --json
has "$err" '"stage"'
try 0 wait a --state running --timeout 5
try 124 wait a --state halted --timeout 0
try 0 pause a
try 0 ls a --json
json 'd[0]["state"]' Paused
try 0 unpause a

# Calls: streams, quoting, exit statuses.
try 0 run a -- echo 'two  words' "it's" '$HOME' '*'
is "$out" "two  words it's \$HOME *"
try 0 run a 'echo $((6 * 7))'
is "$out" 42
try 7 run a 'exit 7'
try 137 run a 'kill -9 $$'
try 127 run a -- no-such-program
try 127 call a no.such.Service
has "$err" "has no service 'no.such.Service'"
try 125 run -u no-such-user a -- true
has "$err" "has no user 'no-such-user'"
try 0 run -u root a -- id -un
is "$out" root
try 0 run a 'echo on-stderr >&2'
is "$out" ""
has "$err" on-stderr
head -c 3000000 /dev/urandom >"$dir/random"
qube run a -- cat <"$dir/random" | cmp - "$dir/random" && passed=$((passed + 1)) || {
	failed=$((failed + 1))
	echo "FAILED: 3 MB did not come back as they were"
}
# A reader that went away ends it.
timeout 20 "$bin/qube" --socket "$dir/run/qubed.sock" run a -- yes 2>"$err" | head -n 1 >"$out"
[ "${PIPESTATUS[0]}" -eq 141 ] && passed=$((passed + 1)) || {
	failed=$((failed + 1))
	echo "FAILED: a run whose reader went away did not end with 141"
}
is "$out" y
# A command that does not read its input.
try 0 run a -- true
head -c 1000000 /dev/zero | qube run a -- true || {
	failed=$((failed + 1))
	echo "FAILED: input that nobody reads"
}
try 0 run -d a 'sleep 0.1; echo done >/tmp/detached'
for _ in $(seq 100); do
	qube run a -- cat /tmp/detached >"$out" 2>/dev/null && break
	sleep 0.05
done
is "$out" "done"
try 2 run a
try 2 run a b -- c
try 2 run --disposable -d -- true
try 125 run nobody -- true
try 125 --json run nobody -- true
has "$err" '"QUBE_E_NOENT"'

# threat_04: what a guest writes to a terminal.
evil='printf "\033]0;evil\007\033[31mred\033[m\233\n"'
on_terminal run a "$evil"
has "$out" "_]0;evil"
hasnt "$out" $'\033'
try 0 run a "$evil"
has "$out" $'\033]0;evil'
on_terminal run --pty a "$evil"
has "$out" $'\033[31mred'
hasnt "$out" evil

# Disposables leave nothing.
try 0 run --disposable=dvm -- hostname
has "$out" disp
try 3 run --disposable=dvm 'exit 3'
try 0 create --disposable=dvm
disp=$(cat "$out")
try 0 start "$disp"
try 0 kill "$disp"
try 0 ls --names
hasnt "$out" disp

# Interrupted: canceled, with the status that is documented. (SIGTERM: a shell makes its background
# processes ignore SIGINT.)
"$bin/qube" --socket "$dir/run/qubed.sock" run --disposable=dvm -- sleep 1000 2>"$err" </dev/null &
run=$!
for _ in $(seq 100); do
	qube ls --names --running | grep -q '^disp' && break
	sleep 0.05
done
sleep 0.2
kill -TERM $run
wait $run
[ $? -eq 130 ] && passed=$((passed + 1)) || {
	failed=$((failed + 1))
	echo "FAILED: an interrupted run did not end with 130"
}
try 0 ls --names
hasnt "$out" disp

# Events.
timeout 60 "$bin/qube" --socket "$dir/run/qubed.sock" events --json --count 4 >"$dir/events" &
events=$!
for _ in $(seq 100); do
	[ -s "$dir/events" ] && break
	sleep 0.05
done
try 0 tags a add marked
try 0 shutdown a
wait $events
has "$dir/events" '"domain-tag-add:marked"'
try 1 shutdown a
try 0 logs a

# A second daemon is refused, and the first one is not hurt.
"$bin/qubed" --libexec-dir "$helpers" --state-dir "$dir/other" --run-dir "$dir/run" 2>"$err"
[ $? -eq 1 ] && passed=$((passed + 1)) || failed=$((failed + 1))
has "$err" "another qubed listens"
"$bin/qubed" --libexec-dir "$helpers" --state-dir "$dir/state" --run-dir "$dir/run2" 2>"$err"
[ $? -eq 1 ] && passed=$((passed + 1)) || failed=$((failed + 1))
try 0 ls
is <(stat -c %a "$dir/run/qubed.sock") "$(getent group qube >/dev/null && echo 660 || echo 600)"

# It ends in order, takes its socket with it, and a killed one's socket is replaced.
try 0 start a
kill -TERM "$daemon"
wait "$daemon"
[ $? -eq 0 ] && [ ! -e "$dir/run/qubed.sock" ] && passed=$((passed + 1)) || {
	failed=$((failed + 1))
	echo "FAILED: SIGTERM is not an orderly end"
}
grep -F "$dir" /proc/self/mountinfo && failed=$((failed + 1))
try 1 ls
has "$err" "is qubed running"
for round in 1 2; do
	"$bin/qubed" --libexec-dir "$helpers" --state-dir "$dir/state" --run-dir "$dir/run" \
		--policy-root "$dir/policy" 2>"$dir/log" &
	daemon=$!
	for _ in $(seq 200); do
		grep -q '^qubed: ready' "$dir/log" && break
		sleep 0.05
	done
	try 0 ls a
	[ $round -eq 2 ] || {
		kill -KILL "$daemon"
		wait "$daemon" 2>/dev/null
		# Nor is what it was spawning, and has the socket still, a second one.
		python3 -c '
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
os.unlink(sys.argv[1])
s.bind(sys.argv[1])
s.listen()
if os.fork() == 0:
    time.sleep(0.5)
' "$dir/run/qubed.sock" >/dev/null 2>&1
	}
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
