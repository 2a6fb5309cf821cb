#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tests/xen/suite.sh SECONDS NAME FILE...: one boot of dom0 that runs NAME/run, with the files and
# folders beside it. If there is a NAME/start, its domains run that, and have the files too.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
seconds=$1
name=$2
shift 2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp -RL "$here/$name/run" "$@" "$dir/"
if [ -e "$here/$name/start" ]; then
	mkdir "$dir/domu"
	install -m 755 "$here/$name/start" "$@" "$dir/domu/"
fi
"$here/run" --timeout "$seconds" "$dir"
