#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# getbochs3.sh OUT: Bochs 3.0 from Debian's next release, which has posted interrupts, extracted under OUT together with the C library it
# wants; OUT/bochs runs it. Nothing is installed. apt state of its own, signatures checked by apt, the archive's address taken from
# the machine's apt configuration, as in getdeps.sh.
set -euo pipefail

suite=trixie
packages="bochs bochs-term bochsbios vgabios libc6 libstdc++6 libgcc-s1 libltdl7 libtinfo6 libncurses6"
out=$(realpath -m "$1")
apt_dir=$out/.apt
[ -x "$out/bochs" ] && [ "$out/bochs" -nt "$0" ] && exit 0
mkdir -p "$apt_dir"/{sources,state/lists/partial,cache/archives/partial} "$out/dl" "$out/tree"

archive() {
	apt-get indextargets --format '$(REPO_URI)|$(COMPONENT)|$(ORIGIN)|$(CODENAME)' 'Created-By: Packages' |
		awk -F'|' '$2 == "main" && $3 == "Debian" && $4 !~ /-security$/ {print $1; exit}'
}

write_configuration() {
	local uri keyring
	uri=$(archive)
	[ -n "$uri" ] || { echo "getbochs3: no Debian archive in this machine's apt configuration; run 'apt-get update' first" >&2; exit 1; }
	keyring=$(dpkg -L debian-archive-keyring | grep -m1 '/debian-archive-keyring\.gpg$')
	printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$uri" "$suite" "$keyring" >"$apt_dir/sources/bochs3.sources"
	: >"$apt_dir/status"
	cat >"$apt_dir/apt.conf" <<-X
		Dir::Etc::sourcelist "/dev/null";
		Dir::Etc::sourceparts "$apt_dir/sources";
		Dir::State "$apt_dir/state";
		Dir::State::status "$apt_dir/status";
		Dir::Cache "$apt_dir/cache";
		APT::Sandbox::User "";
		Acquire::Languages "none";
		Acquire::Retries "3";
	X
}

# Its own loader and libraries, and where it finds its plugins and BIOS images.
write_wrapper() {
	local loader plugins share lib binary=$out/tree/usr/bin/bochs-bin
	loader=$(find "$out/tree" -name 'ld-linux-x86-64.so.2' | head -n 1)
	lib=$(dirname "$(find "$out/tree" -name 'libc.so.6' | head -n 1)")
	plugins=$(dirname "$(find "$out/tree" -name 'libbx_term_gui.so' | head -n 1)")
	share=$(dirname "$(find "$out/tree" -name 'BIOS-bochs-latest' | head -n 1)")
	[ -f "$binary" ] || binary=$out/tree/usr/bin/bochs
	[ -n "$loader" ] && [ -d "$plugins" ] && [ -d "$share" ] || { echo "getbochs3: the packages are not laid out as expected" >&2; exit 1; }
	cat >"$out/bochs" <<-X
		#!/bin/sh
		export LTDL_LIBRARY_PATH="$plugins" BXSHARE="$share"
		exec "$loader" --library-path "$lib" "$binary" "\$@"
	X
	chmod +x "$out/bochs"
}

write_configuration
export APT_CONFIG=$apt_dir/apt.conf
apt-get -qq update
# shellcheck disable=SC2086
(cd "$out/dl" && apt-get -qq download $packages 2>"$apt_dir/download.log") || { cat "$apt_dir/download.log" >&2; exit 1; }
for package in "$out"/dl/*.deb; do
	dpkg-deb -x "$package" "$out/tree"
done
write_wrapper
