#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The manual pages: every verb and option of the table is in qube(1), word for word as the program
# prints them, and roff finds nothing to warn about.
#
#   cli_man.sh QUBE DOCS_MAN            check
#   cli_man.sh QUBE DOCS_MAN --update   write the verbs of the program into the page
set -u
qube=$1
man=$2
page=$man/qube.1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

"$qube" help --man >"$work/verbs" || exit 1
if [ "${3:-}" = --update ]; then
	sed -e '/^\.\\" verbs begin$/r '"$work/verbs" \
		-e '/^\.\\" verbs begin$/,/^\.\\" verbs end$/{/^\.\\" verbs /!d}' \
		"$page" >"$work/page" && cat "$work/page" >"$page"
	exit
fi

sed -n '/^\.\\" verbs begin$/,/^\.\\" verbs end$/{/^\.\\" verbs /!p}' "$page" >"$work/in-page"
if ! diff -u "$work/in-page" "$work/verbs"; then
	echo "qube.1 is not what the program says: run $0 QUBE DOCS_MAN --update"
	failed=1
fi

# The table once more, by the overview: nothing may hide from the comparison above.
verbs=0
while read -r verb; do
	verbs=$((verbs + 1))
	grep -qE "^\.SS \"${verb//-/\\\\-}( |\")" "$page" || {
		echo "qube.1 lacks the verb $verb"
		failed=1
	}
done < <("$qube" help | sed -n '/^Verbs:$/,/^$/s/^  \([a-z]*\( [a-z]*\)\?\)  .*/\1/p')
[ "$verbs" -ge 29 ] || {
	echo "only $verbs verbs were found"
	failed=1
}

for p in "$man"/*.[138]; do
	groff -man -t -Tutf8 -ww "$p" >/dev/null 2>"$work/warnings"
	if [ -s "$work/warnings" ]; then
		echo "$p:"
		cat "$work/warnings"
		failed=1
	fi
done
exit $failed
