#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Builds and tests everything, from a fresh clone on Debian 12. The last line is
# "N passed, N failed".
#
#   tests/run.sh               all: release build with every test, sanitized build, lint,
#                              faults at numbered places, fuzz smoke
#   tests/run.sh quick         release build, unit tests and lint
#   tests/run.sh fuzz SECONDS  the fuzz targets only, SECONDS of wall clock shared by all of them
#   tests/run.sh soak [SECONDS] random life of qubes with random kills (600; at most 1200)
#   tests/run.sh xen           what needs a real Xen, in an emulated machine, at length
#   tests/run.sh bench [...]   the promises in numbers: tests/bench/run, with QUBE_BUILD set
#
# Environment: QUBE_FUZZ_SECONDS (wall clock of the smoke run, default 120), QUBE_JOBS.
# As root everything runs; what needs root is skipped otherwise, and said so.
set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

jobs=${QUBE_JOBS:-$(nproc)}
build=$PWD/build
passed=0
failed=0
skipped=()
broken=()

packages="build-essential cmake ninja-build pkg-config git python3
	libarchive-dev libsodium-dev minisign
	libseccomp-dev libjansson-dev libevent-dev libgtest-dev
	clang-14 clang-format-14 libclang-rt-14-dev llvm-14 doxygen graphviz
	bubblewrap poppler-utils strace valgrind attr busybox-static man-db groff-base tmux
	mmdebstrap gpg musl-tools rpm qemu-system-x86 btrfs-progs e2fsprogs xfsprogs cpio
	xz-utils libxen-dev"

say() {
	printf '\n== %s\n' "$*"
}

# A step that is no test of its own counts as one only when it fails.
must() {
	local what=$1

	shift
	"$@" && return 0
	failed=$((failed + 1))
	broken+=("$what")
	return 1
}

install_packages() {
	local missing=()
	local sudo=()
	local p

	for p in $packages; do
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
			missing+=("$p")
	done
	[ ${#missing[@]} -eq 0 ] && return 0
	say "installing ${missing[*]}"
	[ "$(id -u)" -eq 0 ] || sudo=(sudo -n)
	"${sudo[@]}" apt-get -q update &&
		"${sudo[@]}" apt-get -q -y --no-install-recommends install "${missing[@]}"
}

# build_tree DIR TARGET CMAKE-ARGUMENTS...
build_tree() {
	local dir=$1
	local target=$2

	shift 2
	say "building ${dir#"$PWD"/}"
	mkdir -p "$dir"
	must "configure $dir" cmake -S . -B "$dir" -G Ninja "$@" >"$dir/configure.log" 2>&1 || {
		tail -n 40 "$dir/configure.log"
		return 1
	}
	# What fails to build must not hide the tests of the rest.
	must "build $dir" ninja -C "$dir" -j "$jobs" -k 0 --quiet "$target"
}

# Adds up the results that ctest wrote as JUnit.
count_results() {
	local numbers

	numbers=$(python3 - "$1" 2>>"$build/failures" <<'END'
import sys
import xml.etree.ElementTree as ET

count = {"passed": 0, "failed": 0}
names = []
for case in ET.parse(sys.argv[1]).getroot().iter("testcase"):
    status = case.get("status")
    message = "".join(s.get("message", "") for s in case.iter("skipped"))
    if status == "run":
        count["passed"] += 1
    elif status == "disabled" or (status == "notrun" and message.startswith("SKIP_")):
        pass
    else:
        count["failed"] += 1
        names.append(case.get("name"))
        said = "".join(out.text or "" for out in case.iter("system-out")).splitlines()
        print(f"== {names[-1]} ended so:", *said[-30:], sep="\n", file=sys.stderr)
print(count["passed"], count["failed"], *names)
END
	) || return 1
	set -- $numbers
	passed=$((passed + $1))
	failed=$((failed + $2))
	shift 2
	broken+=("$@")
}

# run_tests DIR CTEST-ARGUMENTS...; end-to-end tests say themselves that they run alone.
run_tests() {
	local dir=$1

	shift
	say "testing ${dir#"$PWD"/}"
	rm -f "$dir/results.xml"
	ctest --test-dir "$dir" --output-on-failure --no-tests=error -j "$jobs" \
		--output-junit "$dir/results.xml" "$@"
	must "results of $dir" count_results "$dir/results.xml"
	# Single test bodies skip themselves with a reason (QT_SKIP), whole programs by "SKIP: ".
	mapfile -t -O ${#skipped[@]} skipped < <(sed -n \
		's/^skipped at \(.*\)/\1/p; s/^SKIP: //p' "$dir/Testing/Temporary/LastTest.log")
}

fuzz_one() {
	local target=$1
	local name
	local work
	local seeds
	local runs

	name=$(basename "$target")
	name=${name#fuzz_}
	work=$build/fuzz/work/$name
	mkdir -p "$work" "$build/fuzz/artifacts"
	# New inputs go into the work folder; the seeds of the tree are read only.
	set -- "$work"
	seeds=$(cat "$(dirname "$target")/$name.corpus")
	[ ! -d "$seeds" ] || set -- "$@" "$seeds"
	if "$target" -max_total_time="$FUZZ_EACH" -timeout=10 -rss_limit_mb=1024 \
		-print_final_stats=1 -artifact_prefix="$build/fuzz/artifacts/$name-" "$@" \
		>"$work.log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work.log")
		echo "ok   $name $runs runs"
		return 0
	fi
	echo "FAIL $name"
	tail -n 60 "$work.log" >&2
	return 0
}
export -f fuzz_one

# fuzz_all SECONDS: every target in turn, one for each processor at a time.
fuzz_all() {
	local targets
	local out

	build_tree "$build/fuzz" fuzzers -DCMAKE_BUILD_TYPE=Debug -DQUBE_SANITIZE=ON \
		-DQUBE_FUZZ=ON \
		-DCMAKE_C_COMPILER=clang-14 -DCMAKE_CXX_COMPILER=clang++-14
	targets=$(find "$build/fuzz/fuzz" -maxdepth 1 -type f -executable -name 'fuzz_*' | sort)
	must "fuzz targets are there" [ -n "$targets" ] || return 1
	set -- "$1" $targets
	export FUZZ_EACH=$(($1 * jobs / ($# - 1)))
	[ "$FUZZ_EACH" -le "$1" ] || FUZZ_EACH=$1
	[ "$FUZZ_EACH" -gt 0 ] || FUZZ_EACH=1
	export build
	say "fuzzing $(($# - 1)) targets, $FUZZ_EACH s each, $jobs at a time"
	shift
	out=$(printf '%s\0' "$@" | xargs -0 -n 1 -P "$jobs" bash -c 'fuzz_one "$0"')
	printf '%s\n' "$out"
	passed=$((passed + $(grep -c '^ok ' <<<"$out")))
	failed=$((failed + $(grep -c '^FAIL ' <<<"$out")))
	mapfile -t -O ${#broken[@]} broken < <(sed -n 's/^FAIL /fuzz /p' <<<"$out")
}

finish() {
	local b

	printf '\n'
	cat "$build/failures"
	for b in "${broken[@]}"; do
		printf 'failed: %s\n' "$b"
	done
	for b in "${skipped[@]}"; do
		printf 'skipped: %s\n' "${b#"$PWD"/}"
	done
	printf '%d passed, %d failed\n' "$passed" "$failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
	exit
}

release() {
	build_tree "$build" all -DCMAKE_BUILD_TYPE=RelWithDebInfo
}

all() {
	release
	run_tests "$build" -LE bench
	build_tree "$build/faults" programs -DCMAKE_BUILD_TYPE=RelWithDebInfo -DQUBE_FAULTS=ON
	run_tests "$build/faults" -L faults
	build_tree "$build/asan" all -DCMAKE_BUILD_TYPE=Debug -DQUBE_SANITIZE=ON
	ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1 \
	UBSAN_OPTIONS=print_stacktrace=1 \
		run_tests "$build/asan" -L 'unit|oom|fuzz|embed'
	fuzz_all "${QUBE_FUZZ_SECONDS:-120}"
}

mkdir -p "$build"
: >"$build/failures"
case ${1:-all} in
all)
	must "install packages" install_packages
	all
	;;
quick)
	must "install packages" install_packages
	release
	run_tests "$build" -L 'unit|lint'
	;;
fuzz)
	must "install packages" install_packages
	fuzz_all "${2:-${QUBE_FUZZ_SECONDS:-120}}"
	;;
soak)
	must "install packages" install_packages
	release
	export QUBE_SOAK_SECONDS=${2:-600}
	[ "$QUBE_SOAK_SECONDS" -le 1200 ] || QUBE_SOAK_SECONDS=1200
	run_tests "$build" -V -R '^e2e_soak$'
	;;
xen)
	must "install packages" install_packages
	release
	export QUBE_XEN_ALL=1
	run_tests "$build" -V -L xen
	;;
bench)
	shift
	must "install packages" install_packages
	release
	if [ ! -x tests/bench/run ]; then
		echo "tests/bench/run is not there" >&2
		exit 1
	fi
	QUBE_BUILD=$build exec tests/bench/run "$@"
	;;
*)
	sed -n '/^#   tests/s/^# *//p' "$0" >&2
	exit 2
	;;
esac
finish
