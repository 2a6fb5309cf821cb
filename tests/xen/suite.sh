#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tests/xen/suite.sh SECONDS NAME PROGRAM...: one boot of dom0 that runs NAME/run, with the programs
# beside it and in the root of its domains, which run NAME/start.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
seconds=$1
name=$2
shift 2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/domu"
install -m 755 "$here/$name/run" "$@" "$dir/"
install -m 755 "$here/$name/start" "$@" "$dir/domu/"
"$here/run" --timeout "$seconds" "$dir"
