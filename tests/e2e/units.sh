#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The units for systemd are what systemd-analyze takes without a word, and name programs that are
# installed.
#
#   units.sh BUILD_DIR CMAKE
set -u
build=$1
cmake=$2
command -v systemd-analyze >/dev/null || {
	echo "SKIP: systemd-analyze is not installed"
	exit 0
}
dir=$(mktemp -d "${TMPDIR:-/tmp}/qube-units.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
"$cmake" --install "$build" --prefix "$dir/usr" >"$dir/log" 2>&1 || {
	tail -n 5 "$dir/log"
	exit 1
}
units=$dir/usr/lib/systemd/system
# The units have the paths of the configured prefix; here everything lies below another one.
for unit in qubed.service qube-host.service; do
	sed -i "s|=\(-\?\)/[^ ]*/s\?bin/\(qubed\?\)\b|=\1$dir/usr/bin/\2|" "$units/$unit"
done
cp "$dir"/usr/sbin/qubed "$dir/usr/bin/"
failed=0
systemd-analyze verify --man=no --recursive-errors=one "$units"/*.service "$units"/*.socket \
	>"$dir/out" 2>&1 || failed=1
# What other units of the machine lack is not ours.
if grep -E 'qubed|qube-host' "$dir/out"; then
	failed=1
fi
# Those for guests, whose programs come with the guest's kernel.
guest=$dir/usr/share/qube/guest/systemd
sed -i 's|/run/qube/guest/qube-[a-z]* |/bin/true |; s|/run/qube/guest/qube-[a-z]*$|/bin/true|' \
	"$guest"/*.service
systemd-analyze verify --man=no --recursive-errors=one "$guest"/* >"$dir/out" 2>&1 || failed=1
if grep -E 'qube-' "$dir/out"; then
	failed=1
fi
mkdir -p "$dir/root/etc"
cp /etc/passwd /etc/group "$dir/root/etc/"
systemd-sysusers --root="$dir/root" "$dir/usr/lib/sysusers.d/qube.conf" >"$dir/out" 2>&1
grep -q '^qube:' "$dir/root/etc/group" || {
	echo "FAILED: no group qube was made"
	cat "$dir/out"
	failed=1
}
grep -q '^qube-broker:' "$dir/root/etc/passwd" || {
	echo "FAILED: no user qube-broker was made"
	failed=1
}
systemd-tmpfiles --create --root="$dir/root" "$dir/usr/lib/tmpfiles.d/qube.conf" >"$dir/out" 2>&1
[ "$(stat -c %a "$dir/root/var/lib/qube" "$dir/root/run/qube" | tr '\n' ' ')" = "700 711 " ] || {
	echo "FAILED: the directories are not as they must be"
	cat "$dir/out"
	failed=1
}
[ "$failed" -eq 0 ] && echo "units: systemd takes them"
exit "$failed"
