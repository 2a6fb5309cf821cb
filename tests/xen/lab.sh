#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tests/xen/lab.sh REGISTERS [SECONDS]: the laboratory itself, with the probe as it was built.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/domu"
cp "$here/lab/run" "$dir/"
cp "$1" "$dir/registers"
cp "$here/lab/start" "$dir/domu/"
cp "$1" "$dir/domu/registers"
chmod 755 "$dir/run" "$dir/domu/start"
"$here/run" --timeout "${2:-300}" "$dir"
