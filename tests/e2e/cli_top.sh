#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# qube top as a person sees it, on a terminal of tmux that a real qubed feeds; stats, logs and the
# checks over the same socket. Numbers differ from run to run and are masked; what is left of the
# screen is compared as a whole. Needs root.
#
#   cli_top.sh BIN_DIR
set -u
bin=$1
failed=0
daemon=
[ "$(id -u)" -eq 0 ] || {
	echo "SKIP: needs root"
	exit 0
}
command -v tmux >/dev/null || {
	echo "SKIP: tmux is not installed"
	exit 0
}
"$bin/qube" doctor >/dev/null || {
	echo "SKIP: qubes cannot run on this machine"
	exit 0
}
dir=$(mktemp -d /var/tmp/qube-top.XXXXXX) || exit 1

terminal() {
	tmux -S "$dir/tmux" -f /dev/null "$@"
}

end() {
	trap - EXIT INT TERM HUP
	terminal kill-server 2>/dev/null
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

# same WHAT GOT WANTED
same() {
	[ "$2" = "$3" ] && return
	failed=1
	printf 'FAILED: %s\n--- wanted\n%s\n--- got\n%s\n' "$1" "$3" "$2"
}

# screen PATTERN: what the terminal shows once a line of it matches, for at most five seconds.
screen() {
	local text=

	for _ in $(seq 100); do
		text=$(terminal capture-pane -p -t t)
		grep -q -- "$1" <<<"$text" && break
		sleep 0.05
	done
	printf '%s\n' "$text"
}

# Numbers become N, what this machine does not enforce X; runs of spaces one, as widths vary.
mask() {
	sed -E -e 's/not enforced:.*/not enforced: X/' \
		-e 's/~?[0-9]+(\.[0-9])? (GiB|MiB|KiB|bytes)/N/g' -e 's/ - / N /g' \
		-e 's/[0-9]+:[0-9]{2}:[0-9]{2}/N/' -e 's/ [0-9]+(\.[0-9])? / N /g' \
		-e 's/ [0-9]+(\.[0-9])? / N /g' -e 's/  +/ /g' -e 's/ +$//' -e '/^$/d'
}

mkdir -p "$dir"/policy/{policy.d,run.d,legacy}
"$bin/qubed" --libexec-dir "$bin" --state-dir "$dir/state" --run-dir "$dir/run" \
	--policy-root "$dir/policy" 2>"$dir/log" &
daemon=$!
for _ in $(seq 200); do
	grep -q '^qubed: ready' "$dir/log" && break
	sleep 0.05
done
qube --progress=plain template import host -y 2>"$dir/progress" >/dev/null || exit 1
same "progress in lines" "$(grep -oE 'host: copy [1-9]0 %' "$dir/progress" | sed -E 's/[1-9]0/N/' |
	sort -u)" "host: copy N %"
qube create one --class AppVM --template host --label red >/dev/null || exit 1
qube create two --class AppVM --template host --label blue >/dev/null || exit 1
qube start one two || exit 1

same "one screen, by name" "$(qube top --once --sort name | mask)" \
	"2 running, by name
NAME CLASS STATE CPU% MEMORY TARGET PIDS UPTIME ISOLATION
one AppVM Running N N N N N kernel-shared not enforced: X
two AppVM Running N N N N N kernel-shared not enforced: X"
same "stats of one" "$(qube stats two --json | python3 -c 'import json, sys
d = json.load(sys.stdin)
print(len(d), d[0]["name"], d[0]["pids"] > 0, d[0]["cpu_ns"] > 0, d[0]["memory_bytes"] > 0)')" \
	"1 two True True True"
same "a busy qube is the first" "$(qube run two -d 'while :; do :; done' && sleep 0.3 &&
	qube top --once | sed -n 3p | cut -d ' ' -f 1)" "two"
same "the host's checks" "$(qube doctor --json | python3 -c 'import json, sys
print([c["outcome"] for c in json.load(sys.stdin) if c["check"] == "root"])')" "['ok']"

# Live: drawn, sorted by a key, resized, and the old screen and settings are there again after q.
terminal new-session -d -s t -x 123 -y 12 "bash --norc --noprofile"
terminal send-keys -t t "PS1='here> '; clear" Enter
screen '^here>' >/dev/null
terminal send-keys -t t "stty -a >$dir/before; $bin/qube --socket $dir/run/qubed.sock top" Enter
screen 'two .*Running *[0-9]' >/dev/null
terminal send-keys -t t n
same "live, by name" "$(screen 'by name' | mask)" \
	"2 running, by name sort: c cpu, m memory, p pids, n name, t uptime; q quits
NAME CLASS STATE CPU% MEMORY TARGET PIDS UPTIME ISOLATION
one AppVM Running N N N N N kernel-shared not enforced: X
two AppVM Running N N N N N kernel-shared not enforced: X"
qube kill one
for _ in $(seq 100); do
	screen 'by name' | grep -q '^1 running' && break
	sleep 0.05
done
terminal resize-window -t t -x 30 -y 12
same "a narrow terminal" "$(screen '^two  *AppVM  *$' | mask)" \
	"1 running, by name sort: c c
NAME CLASS
two AppVM"
terminal resize-window -t t -x 123 -y 12
terminal send-keys -t t q
screen '^here> .*top' >/dev/null
terminal send-keys -t t "stty -a >$dir/after; echo done-\$((1 + 1))" Enter
screen 'done-2' >/dev/null
same "the terminal's settings afterwards" "$(cat "$dir/after")" "$(cat "$dir/before")"

# Also when it is told to end.
again="$bin/qube --socket $dir/run/qubed.sock top"
terminal send-keys -t t "clear; stty -a >$dir/before; $again" Enter
screen 'by cpu' >/dev/null
pid=$(pgrep -f -- "--socket $dir/run/qubed.sock top" | head -n 1)
kill -TERM "$pid"
terminal send-keys -t t "stty -a >$dir/after; echo done-\$((1 + 2))" Enter
screen 'done-3' >/dev/null
same "the settings after a signal" "$(cat "$dir/after")" "$(cat "$dir/before")"

# Logs: a part of them, and as they grow.
qube logs two >"$dir/whole"
same "the last line" "$(qube logs two --lines 1)" "$(tail -n 1 "$dir/whole")"
timeout 20 "$bin/qube" --socket "$dir/run/qubed.sock" logs two --follow --lines 0 >"$dir/fresh" &
follower=$!
sleep 0.5
qube run -u root two 'kill -9 -1' 2>/dev/null
for _ in $(seq 100); do
	[ -s "$dir/fresh" ] && break
	sleep 0.05
done
kill "$follower" 2>/dev/null
wait "$follower" 2>/dev/null
same "what came since" "$(head -n 1 "$dir/fresh")" \
	"$(qube logs two | sed -n "$(($(wc -l <"$dir/whole") + 1))p")"
[ -s "$dir/fresh" ] || same "followed lines" "none" "some"
exit $failed
