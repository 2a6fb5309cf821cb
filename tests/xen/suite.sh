#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tests/xen/suite.sh SECONDS NAME FILE...: one boot of dom0 that runs NAME/run, with the files and
# folders and what else is in NAME beside it. With a NAME/start it is what its domains run, which
# have the same files in their root. With QUBE_XEN_ALL there is a file "all" beside it too: nothing
# is left out for the sake of time.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
seconds=$1
name=$2
shift 2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp -RL "$here/$name"/* "$@" "$dir/"
[ -z "${QUBE_XEN_ALL:-}" ] || : >"$dir/all"
if [ -e "$here/$name/start" ]; then
	mkdir "$dir/domu"
	install -m 755 "$here/$name/start" "$@" "$dir/domu/"
fi
"$here/run" --timeout "$seconds" "$dir"
