#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What `qube doctor` says of this machine: the picture for one whose cgroup v2 has controllers, or
# for one whose has none. Versions, numbers and paths are left out, and so are the policy
# and the facts about processors and buses, which are the machine's own affair.
#
#   doctor.sh BIN_DIR GOLDEN_DIR [--update]
set -u
[ "$(id -u)" -eq 0 ] || {
	echo "SKIP: needs root"
	exit 0
}
mount=$(awk '$0 ~ / - cgroup2 / { print $5; exit }' /proc/self/mountinfo)
[ -n "$mount" ] || {
	echo "SKIP: cgroup v2 is not mounted"
	exit 0
}
kind=bare
grep -qw memory "$mount/cgroup.controllers" && kind=limits
golden=$2/doctor-$kind.txt
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
"$1/qube" doctor 2>&1 | sed -E -e 's/Linux [^,]*,/Linux VERSION,/' -e 's/ is [0-9]+$/ is NUMBER/' \
	-e 's| /[^ ]*/(qube-[a-z]+) | DIR/\1 |' -e '/^[a-z]+ +policy /d' \
	-e 's/^(ok  |warn) +(smt|core scheduling|cpu flaws|iommu)  .*/FACT     \2/' \
	-e '/^[a-z]+ +irq remapping /d' >"$out"
[ "${3:-}" != --update ] || cp "$out" "$golden"
if ! diff -u "$golden" "$out"; then
	echo "FAILED: that is not what a machine of the kind '$kind' says"
	exit 1
fi
# The machines differ as they should.
other=$2/doctor-$([ $kind = bare ] && echo limits || echo bare).txt
if [ "$(diff "$golden" "$other" | grep -c '^[<>]')" -ne 2 ] ||
	! diff "$golden" "$other" | grep -q '^[<>].*cgroup v2'; then
	echo "FAILED: the two kinds differ in more, or less, than their cgroups"
	diff "$golden" "$other"
	exit 1
fi
echo "doctor: as a machine of the kind '$kind' says"
