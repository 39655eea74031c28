# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# shellcheck disable=SC2154 # variables of who sources this
#
# Debian packages without installing any: from the mirror that this host's apt is set up for, or that
# RINGVM_DEBIAN_MIRROR names, through an apt root of our own, so that the system's package lists are not touched and packages of
# another architecture are no different. Root is not needed. Who sources it defines die() and sets
#   cache         a directory to keep the roots in
#   debian_arch   amd64 or arm64
#   root          is set by make_root, and used by the rest

# The URI that this host uses for one suite ("bookworm-security"), or nothing.
host_uri() {
	# shellcheck disable=SC2016 # the format is apt's, not the shell's
	apt-get indextargets 'Created-By: Packages' --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' |
		awk -v suite="$1" '$2 == suite && $3 == "main" { print $1; exit }'
}

# What sources.list says of one suite; `floor` is the oldest Debian we build on, with its fixes.
source_lines() {
	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck source=/dev/null
	distribution=$(. /etc/os-release && echo "${ID:-}")
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	mirror=${RINGVM_DEBIAN_MIRROR:-} security=
	if [ -z "$mirror" ] && [ "$distribution" = debian ]; then
		mirror=$(host_uri "$codename")
		[ -n "$mirror" ] || mirror=$(host_uri stable)
		[ -n "$mirror" ] || die "apt has no source for Debian '$codename' main; add one to /etc/apt/sources.list"
		security=$(host_uri "$codename-security")
	fi
	[ -n "$mirror" ] || die "packages of Debian are needed, and this is '$distribution': apt-get install" \
		"debian-archive-keyring, and name a mirror of Debian by RINGVM_DEBIAN_MIRROR=URI"
	options=
	[ ! -e "$keyring" ] || options="[signed-by=$keyring] "
	if [ "$1" = floor ]; then
		echo "deb $options$mirror bookworm main"
		echo "deb $options${security:-${mirror%/}-security} bookworm-security main"
	else
		echo "deb $options$mirror $1 main"
	fi
}

# make_root SUITES: the apt root for one set of suites: its own lists and cache, an empty status
# file, the host's proxy settings.
make_root() {
	root=$cache/apt/$1
	[ ! -e "$root/updated" ] || return 0
	mkdir -p "$root/parts" "$root/lists/partial" "$root/cache/archives/partial"
	: >"$root/status"
	source_lines "$1" >"$root/parts/rig.list"
	cat >"$root/conf" <<-END
		Dir::Etc::SourceList "/dev/null";
		Dir::Etc::SourceParts "$root/parts";
		Dir::State::Lists "$root/lists";
		Dir::State::status "$root/status";
		Dir::Cache "$root/cache";
		APT::Sandbox::User "$(id -un)";
		APT::Architecture "$debian_arch";
		APT::Architectures { "$debian_arch"; };
		Acquire::Retries "3";
		Acquire::Languages "none";
	END
	apt-get -qq -c "$root/conf" update >&2 || return 1
	: >"$root/updated"
}

# depends PACKAGE REGEX: the packages of such names that the package depends on.
depends() {
	apt-cache -c "$root/conf" show --no-all-versions "$1" 2>/dev/null |
		sed -n 's/^Depends: //p' | tr ',' '\n' | awk -v want="^($2)" '$1 ~ want { print $1 }'
}

# download DIR PACKAGE...: their .deb files. Lists kept from an earlier day may name a version that
# is gone from the mirror, so they are fetched again before another try.
download() {
	(cd "$1" && shift && for try in 1 2 3; do
		apt-get -qq -c "$root/conf" download "$@" >&2 && exit 0
		echo "$(basename "$0"): download of $* failed, try $try of 3" >&2
		sleep "$try"
		apt-get -qq -c "$root/conf" update >&2 || true
	done; exit 1)
}

# unpack_packages DIR: every .deb in it, into DIR/tree.
unpack_packages() {
	for deb in "$1"/*.deb; do
		dpkg-deb -x "$deb" "$1/tree"
	done
	rm -f "$1"/*.deb
}
