#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The completion script for bash does what it should, with a host of three qubes whose names were
# chosen by an enemy.
#
#   cli_completion.sh QUBE
set -u
qube=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

cat >"$work/qube" <<'END'
#!/bin/sh
echo "$*" >>"${0%/*}/asked"
printf '%s\n' work vault 'x$(touch pwned)' '`touch pwned`' '-rf'
END
chmod +x "$work/qube"
cd "$work" || exit 1
"$qube" completion bash >script || exit 1
# shellcheck disable=SC1091
. ./script || exit 1

# expect WANTED WORD... : what completing the last word offers, in any order.
expect() {
	local wanted got

	wanted=$(printf '%s\n' $1 | sort)
	shift
	COMP_WORDS=("$work/qube" "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_qube
	got=$(printf '%s\n' "${COMPREPLY[@]}" | sort)
	if [ "$wanted" != "$got" ]; then
		printf 'completing "%s": wanted [%s], got [%s]\n' "$*" "${wanted//$'\n'/ }" \
			"${got//$'\n'/ }"
		failed=1
	fi
}

expect "shutdown start stats" s
expect "shutdown" shut
expect "import" template i
expect "ls import" template ""
expect "work" start w
expect "vault work" start work ""
expect "" pool ls ""
expect "create ls rm" label ""
expect "work" --json run w
expect "work" --socket /run/x.sock run w
expect "work" --socket = /run/x.sock run w
expect "" run work -- l
expect "--names" ls --na
expect "--dry-run" template import --dry
expect "bash" completion b
expect "version" help ver
expect "" --socket = /ru

# A name is data: nothing of it was run, and what is no name is not offered.
expect "vault work" rm ""
if [ -e pwned ]; then
	echo "a name was run as a command"
	failed=1
fi
grep -qx -- '--socket /run/x.sock ls --names' asked || {
	echo "the host that the command line names was not the one asked:"
	cat asked
	failed=1
}
exit $failed
