# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Runs as root in a template: a tar file of packages comes on standard input, and those that are
# newer than what is installed are installed. Standard output has lines for the host, nothing else:
#   stage NAME; manager NAME; want NAME OLD NEW; is NAME NOW; error TEXT; result none|updated
# What the package manager says goes to standard error.
set -u
umask 022
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
dir=/var/cache/qube-update
exec 3>&1 1>&2

say() {
	printf '%s\n' "$*" >&3
}

# die STATUS TEXT
die() {
	status=$1
	shift
	say "error $*"
	exit "$status"
}

has() {
	command -v "$1" >/dev/null 2>&1
}

# --- dpkg ---

dpkg_now() {
	dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null |
		sed -n 's/^installed //p' | sort -u | head -n 1
}

# Sets name and new of a file.
dpkg_read() {
	new=$(dpkg-deb -f "$1" Version) && arch=$(dpkg-deb -f "$1" Architecture) &&
		name=$(dpkg-deb -f "$1" Package) || return 1
	[ "$arch" = all ] || name=$name:$arch
}

dpkg_newer() {
	dpkg --compare-versions "$1" gt "$2"
}

# With an index a folder of packages is a mirror: what the newer ones need comes along.
dpkg_mirror() {
	for file in *.deb; do
		dpkg-deb -f "$file"
		printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$file" "$(wc -c <"$file")" \
			"$(sha256sum <"$file" | sed 's/ .*//')"
	done >Packages
	mkdir -p apt/lists/partial apt/archives/partial
	echo "deb [trusted=yes] file:$dir ./" >apt/sources
}

apt() {
	apt-get -q -y -o Dir::Etc::SourceList="$dir/apt/sources" \
		-o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$dir/apt/lists" \
		-o Dir::Cache::Archives="$dir/apt/archives" \
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root \
		-o DPkg::Options::=--force-confdef -o DPkg::Options::=--force-confold "$@"
}

dpkg_install() {
	if has apt-get; then
		dpkg_mirror && apt update && apt --with-new-pkgs upgrade
	else
		dpkg --refuse-downgrade --force-confdef --force-confold -i "$@"
	fi
}

# --- rpm ---

rpm_now() {
	rpm -q --qf '%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n' "$1" 2>/dev/null | tail -n 1
}

rpm_read() {
	name=$(rpm -qp --qf '%{NAME}.%{ARCH}' "$1") &&
		new=$(rpm -qp --qf '%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}' "$1")
}

# rpm itself tells whether a file is newer than what is installed.
rpm_newer() {
	[ "$1" != "$2" ] && rpm -U --test --nodeps --replacefiles "$file" >/dev/null 2>&1
}

# A script that fails behind an installation is no failure for rpm, but is one for us.
rpm_install() {
	rpm -U "$@" 2>rpm.log
	status=$?
	cat rpm.log
	if [ "$status" -eq 0 ] && grep -q 'scriptlet failed' rpm.log; then
		return 1
	fi
	return "$status"
}

# --- both ---

if has dpkg-query && has dpkg-deb; then
	kind=dpkg suffix=deb manager=dpkg
	has apt-get && manager=apt
elif has rpm && rpm --version >/dev/null 2>&1; then # busybox has another one
	kind=rpm suffix=rpm manager=rpm
else
	die 127 "no package manager is here: looked for dpkg (with or without apt-get) and rpm"
fi
say "manager $manager"
for tool in tar sed sort grep head tail cat; do
	has $tool || die 127 "the template has no $tool"
done

say "stage deliver"
rm -rf $dir && mkdir -p $dir && cd $dir && tar -xf - || die 1 "the packages could not be unpacked"

say "stage look"
set --
for file in ./*.$suffix; do
	[ -f "$file" ] || continue
	${kind}_read "$file" || die 1 "$file is no package"
	old=$(${kind}_now "$name")
	[ -n "$old" ] && ${kind}_newer "$new" "$old" || continue
	say "want $name $old $new"
	set -- "$@" "$file"
done
if [ $# -eq 0 ]; then
	cd / && rm -rf $dir
	say "result none"
	exit 0
fi

say "stage install"
${kind}_install "$@"
status=$?
[ $status -eq 0 ] || die $status "$manager ended with status $status"

# Not what was said is looked at, but what the database of packages has.
say "stage check"
for file in "$@"; do
	${kind}_read "$file"
	now=$(${kind}_now "$name")
	[ -n "$now" ] || die 1 "$name is not installed any more"
	! ${kind}_newer "$new" "$now" || die 1 "$name $new was not applied, $now is installed"
	say "is $name $now"
done
cd / && rm -rf $dir || die 1 "the packages could not be removed"
say "result updated"
