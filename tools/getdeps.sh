#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# getdeps.sh LOCK OUT: fetches the pinned third-party sources into OUT/dl, checks each file's sha256, and
# unpacks them to OUT/src/NAME. Runs as any user with apt state of its own: the system's apt files stay untouched,
# and the archive's address is taken from the machine's own apt configuration. With all files in OUT/dl: no network.
set -euo pipefail

lock=$(realpath "$1")
out=$(realpath -m "$2")
apt_dir=$out/.apt
mkdir -p "$out/dl" "$out/src"

entries() { grep -v '^#' "$lock" | grep -v '^$'; }

all_present() {
	local file hash
	while read -r _ _ _ file hash; do
		echo "$hash  $out/dl/$file" | sha256sum -c --quiet --status - 2>/dev/null || return 1
	done < <(entries)
}

# A deb-src list for each suite of the lock, at the address where this machine gets its own packages.
write_sources() {
	local targets suite security
	targets=$(apt-get indextargets --format '$(REPO_URI)|$(COMPONENT)|$(ORIGIN)|$(CODENAME)' 'Created-By: Packages' |
		awk -F'|' '$2 == "main" && $3 == "Debian"' | sort -u)
	for suite in $(entries | awk '{print $2}' | sort -u); do
		security=0
		case $suite in *-security) security=1 ;; esac
		awk -F'|' -v suite="$suite" -v security="$security" -v key="$keyring" '
			(($4 ~ /-security$/) ? 1 : 0) == security {
				print "Types: deb-src\nURIs: " $1 "\nSuites: " suite "\nComponents: main\nSigned-By: " key "\n"
				exit
			}' <<<"$targets"
	done
}

fetch() {
	keyring=$(dpkg -L debian-archive-keyring | grep -m1 '/debian-archive-keyring\.gpg$')
	mkdir -p "$apt_dir"/{sources,state/lists/partial,cache/archives/partial}
	: >"$apt_dir/status"
	write_sources >"$apt_dir/sources/socle.sources"
	[ -s "$apt_dir/sources/socle.sources" ] || { echo "getdeps: no Debian archive in this machine's apt configuration; run 'apt-get update' first" >&2; exit 1; }
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
	export APT_CONFIG=$apt_dir/apt.conf
	apt-get -qq update
	local n=0 total package_version package
	total=$(entries | awk '{print $1 "=" $3}' | sort -u | wc -l)
	for package_version in $(entries | awk '{print $1 "=" $3}' | sort -u); do
		n=$((n + 1))
		package=${package_version%%=*}
		echo "  [$n/$total] fetching $package_version"
		# The index may list files the archive no longer has; what counts is the check below. A newer
		# packaging of the same release carries the same upstream tarball.
		(cd "$out/dl" && { apt-get -qq source --download-only "$package_version" || apt-get -qq source --download-only "$package"; }) >"$apt_dir/$package.log" 2>&1 || true
	done
}

check() {
	local bad=0 name file hash
	while read -r name _ _ file hash; do
		echo "$hash  $out/dl/$file" | sha256sum -c --quiet --status - 2>/dev/null && continue
		echo "getdeps: $file is missing or differs from its pinned checksum; see $apt_dir/$name.log, and tools/deps.lock for the pin" >&2
		bad=1
	done < <(entries)
	return $bad
}

unpack() {
	local name=$1 dsc tarball dir=$out/src/$1
	[ -f "$dir/.unpacked" ] && return
	rm -rf "$dir"
	dsc=$(entries | awk -v n="$name" '$1 == n && $4 ~ /\.dsc$/ {print $4}')
	if [ -n "$dsc" ]; then
		(cd "$out/src" && dpkg-source --no-check --no-copy -x "$out/dl/$dsc" "$name" >/dev/null)
	else
		tarball=$(entries | awk -v n="$name" '$1 == n {print $4; exit}')
		mkdir -p "$dir"
		tar xf "$out/dl/$tarball" -C "$dir" --strip-components=1
	fi
	touch "$dir/.unpacked"
}

all_present || { fetch; check; }
for name in $(entries | awk '{print $1}' | sort -u); do
	unpack "$name"
done
