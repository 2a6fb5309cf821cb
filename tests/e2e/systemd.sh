#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The units, started for real: an installed tree is put in place, the socket starts the daemon,
# qubes start with the machine, outlive a restart and a death of the daemon, and stop in order.
# Takes the machine it runs on: for the one of tests/vm only.
#
#   systemd.sh INSTALLED_TREE
set -u
tree=$1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
passed=0
failed=0
[ -n "${QUBE_VM:-}" ] || {
	echo "this installs into the machine it runs on: tests/vm/run is the place for it"
	exit 2
}

# is WHAT GOT WANTED
is() {
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
		echo "ok     $1"
	else
		failed=$((failed + 1))
		echo "FAILED $1: '$2', wanted '$3'"
	fi
}

state() {
	qube ls --json | python3 -c '
import json, sys
print(*[q["state"] for q in json.load(sys.stdin) if q["name"] == sys.argv[1]])' "$1"
}

# Process 1 of a qube, by the record of its box.
box() {
	sed -n 's/^pid \([0-9]*\).*/\1/p' "/run/qube/boxes/$1/record"
}

# wait_for WORDS...: until the command says yes, half a minute.
wait_for() {
	for _ in $(seq 60); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	echo "FAILED waiting for: $*"
	failed=$((failed + 1))
}

cp -a "$tree/." / && ldconfig || exit 1
systemd-sysusers && systemd-tmpfiles --create 2>/dev/null
systemctl daemon-reload
is "the units have no fault" "$(systemd-analyze verify --man=no qubed.service qubed.socket \
	qube-host.service 2>&1 | grep -E 'qubed|qube-host')" ""
systemctl -q enable --now qubed.socket qube-host.service
is "the socket is the group's" "$(stat -c '%U %G %a' /run/qube/qubed.sock)" "root qube 660"
is "the store is root's alone" "$(stat -c '%U %a' /var/lib/qube)" "root 700"

systemctl stop qube-host.service qubed.service
is "nothing runs yet" "$(systemctl is-active qubed.service)" inactive
is "a client starts the daemon" "$(qube ls --names)" "dom0"
is "it runs now" "$(systemctl is-active qubed.service)" active
broker=$(pgrep -f 'qubed --broker')
is "the broker has a user of its own" "$(ps -o user= -p "$broker")" "qube-broker"

qube template import base --host --quiet || failed=$((failed + 1))
qube create net --property provides_network=True
qube create work --property autostart=True --property netvm=net
qube create idle
systemctl start qube-host.service
is "one that asks for it runs" "$(state work)" Running
is "one that does not is left" "$(state idle)" Halted
is "it serves calls" "$(qube run work -- echo hello)" hello
is "memory is limited" "$(qube ls --json | grep -c '"unenforced": "[^"]*memory')" 0

before=$(box work)
systemctl restart qubed.service
is "a restart leaves it running" "$(state work)" Running
is "it is the same" "$(box work)" "$before"
is "it serves calls again" "$(qube run work -- echo again)" again
kill -KILL "$(systemctl show -P MainPID qubed.service)"
wait_for qube ls
is "so does a death of the daemon" "$(state work) $(box work)" "Running $before"
is "and calls" "$(qube run work -- echo still)" still

qube start net
systemctl stop qube-host.service
is "all stop with the host" "$(state work) $(state net)" "Halted Halted"
is "in order" "$(journalctl -u qube-host.service -o cat | grep -oE '^qube: (work|net): stopped' |
	tail -n 2 | tr '\n' ' ')" "qube: work: stopped qube: net: stopped "
systemctl stop qubed.socket qubed.service qube-boxes.service
is "no process is left" "$(cat /proc/[0-9]*/comm 2>/dev/null |
	grep -cxE 'qubed|qube-box|qube-worker')" 0
is "no mount is left" "$(grep -c /var/lib/qube /proc/self/mountinfo)" 0
is "no group is left" "$(find /sys/fs/cgroup -name 'qube-*' -type d |
	grep -cv '\.service')" 0
is "the daemon's log has no error" "$(journalctl -u qubed.service -p err -o cat | head -n 3)" ""

# The units of a guest whose root has an init of its own; what qube-init would have made for them.
# This is no guest of Xen: two of its programs are not there.
guest=$(dirname "$(find "$tree" -path '*/guest/qube-agent' -type f | head -n 1)")
mkdir -p /run/qube/guest
cp "$guest"/* "$guest-xen"/* /run/qube/guest/
echo QUBE_USER=root >/run/qube/environment
cp "$(find "$tree" -path '*/guest/systemd' -type d)"/* /run/systemd/system/
systemctl daemon-reload
units="qube-agent.service qube-agent.socket qube-meminfo.service qube-vchan.service"
is "the guest's units have no fault" "$(systemd-analyze verify --man=no $units 2>&1 |
	grep qube-)" ""
rm -f /run/qube/guest/qube-meminfo /run/qube/guest/qube-vchan
# How many bytes who connects is greeted with.
hello() {
	python3 -c '
import socket
s = socket.socket(socket.AF_UNIX)
s.settimeout(30)
s.connect("/run/qube/control/control.sock")
print(len(s.recv(64)))'
}
agent() {
	systemctl show -P MainPID qube-agent.service
}
systemctl start $units
is "the agent greets" "$(hello)" 12
is "what is not there is left" "$(systemctl is-active qube-meminfo.service)" inactive
first=$(agent)
kill -KILL "$first"
is "another one greets when it died" "$(hello)" 12
is "another process" "$([ "$(agent)" != "$first" ] && echo yes)" yes
systemctl stop $units
is "the agent ends" "$(pgrep -cx qube-agent)" 0
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
