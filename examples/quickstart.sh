#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# From a fresh clone on Debian 12 to running qubes: builds libqube, starts qubed on a store of its
# own, makes a template from this machine's packages and shows what qubes are good for. Every claim
# is checked: the script ends with an error at the first thing that is not as promised. Run it as
# root, from any directory, as often as you like; it leaves nothing behind but the build.
#
#   examples/quickstart.sh
#
# Environment: QUBE_BUILD  a build directory to use as it is, instead of building into build/
#              QUBE_KEEP   if set, the store is kept and its path is told
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
umask 022

build=${QUBE_BUILD:-$source_dir/build}
packages="build-essential cmake ninja-build pkg-config python3 libseccomp-dev
	libjansson-dev libevent-dev libgtest-dev poppler-utils shared-mime-info"
pdf=/usr/share/doc/shared-mime-info/shared-mime-info-spec.pdf
dir=
daemon=
rows=()
stage_name=
stage_began=0

say() {
	printf '%s\n' "$*"
}

fail() {
	printf 'quickstart: %s\n' "$*" >&2
	if [ -n "$dir" ] && [ -s "$dir/qubed.log" ]; then
		printf 'quickstart: the end of the log of qubed:\n' >&2
		tail -n 15 "$dir/qubed.log" >&2
	fi
	exit 1
}

clean_up() {
	local status=$?

	trap - EXIT INT TERM HUP
	stop_daemon || true
	if [ -n "$dir" ] && [ -n "${QUBE_KEEP:-}" ]; then
		say "the store is kept in $dir"
	elif [ -n "$dir" ]; then
		rm -rf --one-file-system "$dir"
	fi
	exit "$status"
}

now_ms() {
	echo $(($(date +%s%N) / 1000000))
}

# stage WHAT: a piece of work begins.
stage() {
	stage_name=$1
	stage_began=$(now_ms)
	say
	say "== $1"
}

# result TEXT: it went well; TEXT and the time go into the table at the end.
result() {
	rows+=("$(printf '%-38s %8s ms  %s' "$stage_name" $(($(now_ms) - stage_began)) "$1")")
	say "$1"
}

# Runs the command line program against our own daemon.
qube() {
	"$build/bin/qube" --socket "$dir/run/qubed.sock" "$@"
}

# expect WANTED GOT WHAT
expect() {
	[ "$1" = "$2" ] || fail "$3: expected '$1', got '$2'"
}

install_packages() {
	local missing=()
	local p

	for p in $packages; do
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
			missing+=("$p")
	done
	# Documents may have been left out when their package was installed.
	[ -f "$pdf" ] || missing+=(shared-mime-info)
	if [ ${#missing[@]} -eq 0 ]; then
		result "nothing was missing"
		return
	fi
	apt-get -q update && apt-get -q -y --no-install-recommends --reinstall \
		-o Dpkg::Options::=--path-include=/usr/share/doc/shared-mime-info/* \
		install "${missing[@]}" || fail "cannot install ${missing[*]}"
	[ -f "$pdf" ] || fail "the package shared-mime-info has no $pdf"
	result "${#missing[@]} packages were installed"
}

build_programs() {
	if [ -z "${QUBE_BUILD:-}" ]; then
		(cd "$source_dir" && cmake --preset release >"$dir/cmake.log" 2>&1 &&
			cmake --build build >>"$dir/cmake.log" 2>&1) ||
			{ tail -n 30 "$dir/cmake.log" >&2 && fail "it does not build"; }
	fi
	[ -x "$build/bin/qube" ] && [ -x "$build/bin/qubed" ] || fail "no programs in $build/bin"
	result "$("$build/bin/qube" version)"
}

start_daemon() {
	mkdir -p "$dir/policy/policy.d" "$dir/policy/run.d" "$dir/policy/legacy"
	cat >"$dir/policy/policy.d/30-quickstart.policy" <<-'END'
		# Who may call whom; the first line that matches decides.
		demo.Greet   *  work  vault  allow
		demo.Secret  *  work  vault  deny
	END
	"$build/bin/qubed" --state-dir "$dir/state" --run-dir "$dir/run" \
		--policy-root "$dir/policy" 2>"$dir/qubed.log" &
	daemon=$!
	for _ in $(seq 100); do
		grep -q '^qubed: ready' "$dir/qubed.log" && return
		kill -0 "$daemon" 2>/dev/null || fail "qubed ended"
		sleep 0.1
	done
	fail "qubed is not ready after 10 seconds"
}

stop_daemon() {
	local pid=$daemon

	[ -n "$pid" ] || return 0
	daemon=
	kill -TERM "$pid" 2>/dev/null || true
	for _ in $(seq 300); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null
}

# Process ids of everything that descends from qubed.
descendants() {
	awk -v root="$daemon" '
		{ line = $0; pid = line; sub(/ .*/, "", pid)
		  sub(/^.*\) . /, "", line); sub(/ .*/, "", line)
		  parent[pid] = line }
		END { found[root] = 1
		      do { more = 0
			   for (p in parent)
				if (!(p in found) && (parent[p] in found)) {
					found[p] = 1
					more = 1
				}
		      } while (more)
		      delete found[root]
		      for (p in found) print p }' <(cat /proc/[0-9]*/stat 2>/dev/null)
}

# How many control groups there are of the disposables that our daemon has ended. The hierarchy is
# shared with everything else on this machine, so they are looked for by their names.
count_groups() {
	local root
	local name

	root=$(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - cgroup2 .*/\1/p' \
		/proc/self/mountinfo | head -n 1)
	[ -n "$root" ] || return 0
	sed -n "s/^qubed: '\(disp[0-9]*\)' ended .*/\1/p" "$dir/qubed.log" | while read -r name; do
		find "$root" -type d -name "qube-$name-*"
	done | wc -l
}

# What exists because of our daemon, in five numbers.
count_all() {
	local pids
	local pid
	local namespaces

	pids=$(descendants)
	namespaces=$(for pid in $pids; do
		for ns in mnt net pid ipc uts user cgroup time; do
			readlink "/proc/$pid/ns/$ns" 2>/dev/null || true
		done
	done | sort -u | wc -l)
	printf '%s processes, %s namespaces, %s mounts, %s cgroups of disposables, %s files' \
		"$(wc -w <<<"$pids")" "$namespaces" \
		"$(grep -c -F "$dir" /proc/self/mountinfo || true)" "$(count_groups)" \
		"$(find "$dir/state" "$dir/run" ! -name '*.log' 2>/dev/null | wc -l)"
}

# The same once it stands still: qubes are cleaned up behind their caller's back.
count_settled() {
	local last=
	local now

	for _ in $(seq 50); do
		now=$(count_all)
		[ "$now" != "$last" ] || break
		last=$now
		sleep 0.2
	done
	echo "$now"
}

# Splits a stream of PNG images into files and prints how many there are. What comes from a
# disposable is not trusted: structure and checksums are checked, names are ours.
split_images() {
	python3 -c '
import struct, sys, zlib
stream = sys.stdin.buffer
pages = 0
def take(n):
    data = stream.read(n)
    if len(data) != n:
        sys.exit("an image was cut short")
    return data
while True:
    magic = stream.read(8)
    if not magic:
        break
    if magic != b"\x89PNG\r\n\x1a\n":
        sys.exit("not a PNG image")
    if pages == 1000:
        sys.exit("too many images")
    image, kind = [magic], None
    while kind != b"IEND":
        head = take(8)
        size, kind = struct.unpack(">I4s", head)
        if size > 64 << 20:
            sys.exit("an image is too large")
        body = take(size)
        check = take(4)
        if zlib.crc32(kind + body) != struct.unpack(">I", check)[0]:
            sys.exit("an image is damaged")
        image += [head, body, check]
    pages += 1
    with open("%s/page-%03d.png" % (sys.argv[1], pages), "wb") as f:
        f.write(b"".join(image))
print(pages)' "$1"
}

# serve QUBE SERVICE: installs a service in a qube. /usr/local is kept when the qube stops.
serve() {
	local file=/usr/local/etc/qubes-rpc/$2

	qube run -u root "$1" -- \
		"mkdir -p /usr/local/etc/qubes-rpc && cat >$file && chmod 755 $file"
}

make_qubes() {
	stage "create qubes work, vault, dvm"
	qube create work --template base --label blue
	qube create vault --template base --label black --property netvm=
	qube create dvm --template base --label red --property netvm= \
		--property template_for_dispvms=True
	qube prefs work default_dispvm dvm
	expect dvm "$(qube prefs work default_dispvm)" "default_dispvm of work"
	qube ls
	result "3 qubes, each a few small files"
}

show_persistence() {
	stage "start work, write outside and in home"
	qube run -u root work -- 'echo changed >/etc/quickstart && echo changed >/opt/quickstart'
	qube run work -- 'echo kept >~/quickstart'
	expect changed "$(qube run work -- cat /etc/quickstart)" "/etc/quickstart while it runs"
	result "files in /etc, /opt and the home of work"

	stage "stop and start it again"
	qube shutdown work
	expect Halted "$(qube ls work --json | python3 -c 'import json, sys
print(json.load(sys.stdin)[0]["state"])')" "state of work"
	expect gone "$(qube run -u root work -- \
		'[ -e /etc/quickstart ] || [ -e /opt/quickstart ] || echo gone')" \
		"what was written outside the home"
	expect kept "$(qube run work -- cat /home/user/quickstart)" "what was written in the home"
	result "the root is fresh, the home was kept"
}

show_calls() {
	local rule=$dir/policy/policy.d/30-quickstart.policy
	local answer
	local status=0

	stage "install services in vault"
	# The service learns who calls from the host, not from the caller.
	serve vault demo.Greet <<-'END'
		#!/bin/sh
		read -r name
		echo "hello $name, calling from $QREXEC_REMOTE_DOMAIN"
	END
	serve vault demo.Secret <<-'END'
		#!/bin/sh
		echo "nobody should read this"
	END
	result "demo.Greet and demo.Secret"

	stage "work calls demo.Greet in vault"
	answer=$(echo Ada | qube run work -- /run/qube/guest/qube-rpc vault demo.Greet)
	expect "hello Ada, calling from work" "$answer" "the answer of demo.Greet"
	result "allowed: $answer"

	stage "work calls demo.Secret in vault"
	answer=$(qube run work -- /run/qube/guest/qube-rpc vault demo.Secret </dev/null \
		2>"$dir/denied") || status=$?
	expect 126 "$status" "exit status of a denied call"
	expect "" "$answer" "what a denied call gives"
	answer=$(grep -F "denied: work -> vault: demo.Secret by " "$dir/qubed.log" | tail -n 1)
	[[ $answer == *" by $rule:3 "* ]] || fail "the log does not name line 3 of $rule"
	result "denied by ${rule##*/}:3"
	say "$answer"
	say "$(sed -n 3p "$rule")"
}

show_disposable() {
	local before
	local after
	local pages
	local wanted
	local lines

	qube shutdown work vault
	before=$(count_settled)
	stage "count the pages, in a disposable"
	wanted=$(qube run --disposable=dvm -- 'pdfinfo -' <"$pdf" | sed -n 's/^Pages: *//p')
	[[ $wanted =~ ^[1-9][0-9]*$ ]] || fail "pdfinfo counted '$wanted' pages"
	result "$wanted pages in ${pdf##*/}"

	stage "look for a network in a disposable"
	lines=$(qube run --disposable=dvm -- \
		'grep -c : /proc/net/dev; grep -c "^ *lo:" /proc/net/dev')
	expect "1 1" "$(echo $lines)" "network interfaces of a disposable, and how many are lo"
	result "none but its own loopback"

	stage "render them, in a disposable"
	mkdir "$dir/pages"
	pages=$(qube run --disposable=dvm -- 'pdftoppm -png -r 60 -' <"$pdf" |
		split_images "$dir/pages")
	expect "$wanted" "$pages" "number of page images"
	result "$pages PNG images, $(du -sh --apparent-size "$dir/pages" | cut -f1)"

	stage "look for what the disposables left"
	for _ in $(seq 50); do
		after=$(count_all)
		[ "$before" = "$after" ] && break
		sleep 0.2
	done
	expect "$before" "$after" "what exists after the disposables, compared with before"
	! qube ls --names | grep -q '^disp[0-9]' || fail "a disposable is still listed"
	[ -z "$(find "$dir/state" "$dir/run" -name 'disp[0-9]*')" ] || fail "it left files"
	result "nothing: $after"
}

main() {
	[ "$(id -u)" -eq 0 ] || fail "run it as root: qubes are made of namespaces and mounts"
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	dir=$(mktemp -d /var/tmp/qube-quickstart.XXXXXX)

	stage "install packages"
	install_packages
	stage "build"
	build_programs
	stage "look at this machine"
	"$build/bin/qube" doctor || fail "qubes cannot run on this machine"
	result "qubes can run here"
	stage "start qubed"
	start_daemon
	result "listens at $dir/run/qubed.sock"
	stage "import the template base"
	qube template import base --include poppler-utils
	result "$(du -sh --apparent-size "$dir/state" | cut -f1) of this machine's packages"
	make_qubes
	show_persistence
	show_calls
	show_disposable
	stage "stop qubed"
	stop_daemon
	[ -z "$(grep -F "$dir" /proc/self/mountinfo)" ] || fail "qubed left mounts"
	result "everything is taken down"

	say
	say "What happened"
	printf '  %s\n' "${rows[@]}"
}

main "$@"
