#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An installation below any prefix works where it is, and where it is moved to: programs find the
# library, the helpers and the daemon.
#
#   cli_install.sh BUILD_DIR CMAKE
set -u
build=$1
cmake=$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/qube-install.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
unset LD_LIBRARY_PATH
"$cmake" --install "$build" --prefix "$dir/first" >"$dir/log" 2>&1 || {
	tail -n 5 "$dir/log"
	echo "SKIP: not all of it is built"
	exit 0
}
if "$cmake" -LA -N "$build" | grep -q '^CMAKE_INSTALL_PREFIX:PATH=/usr$'; then
	echo "SKIP: made for /usr, where the linker finds the library"
	exit 0
fi
failed=0
for prefix in first moved; do
	[ "$prefix" = first ] || mv "$dir/first" "$dir/moved"
	qube=$dir/$prefix/bin/qube
	"$qube" version >"$dir/out" 2>&1 || {
		echo "FAILED: $prefix: qube version: $(cat "$dir/out")"
		failed=1
	}
	# Other checks may fail on this machine.
	"$qube" doctor >"$dir/out" 2>&1
	for helper in qube-box qube-agent; do
		grep -q "^ok  *$helper  *$dir/$prefix/" "$dir/out" || {
			echo "FAILED: $prefix: $(grep -w "$helper" "$dir/out")"
			failed=1
		}
	done
	"$qube" daemon --version >"$dir/out" 2>&1 || {
		echo "FAILED: $prefix: qube daemon: $(cat "$dir/out")"
		failed=1
	}
done
[ "$failed" -eq 0 ] && echo "cli_install: works where it is and where it is moved to"
exit "$failed"
