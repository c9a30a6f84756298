#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# build.sh BUILD guest|host: what the figures of guests' I/O need, in BUILD/peers.
#   guest   guest.gz: the tests' initrd (BUILD/guest) and the measuring program (io.c), for the guests of both sides
#   host    host.gz: the KVM host: busybox, modules of Debian's cloud kernel, QEMU and its libraries, the guest's kernel and initrd;
#           vmlinuz: the host's kernel; versions: what was taken. From Debian's packages, checked by apt; nothing is installed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
guest=$(cd "$1/guest" && pwd)
mkdir -p "$1/peers/deb"
out=$(cd "$1/peers" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() { # PACKAGE...: downloads each once and unpacks it into $work/deb
	local name
	for name in "$@"; do
		compgen -G "$out/deb/${name}_*.deb" >/dev/null || (cd "$out/deb" && apt-get -qq download "$name" 2>/dev/null)
		dpkg-deb -x "$out/deb/${name}"_*.deb "$work/deb"
	done
}

closure() { # PACKAGE: it and the libraries that it needs and those need
	apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$1" | awk -v first="$1" '
		/^[^ ]/ { from = $1 }
		$1 ~ /Depends:$/ && $2 ~ /^(lib|zlib)/ { needs[from] = needs[from] " " $2 }
		END {
			todo[1] = first; seen[first] = 1
			for (i = n = 1; i <= n; i++) {
				print todo[i]
				count = split(needs[todo[i]], names, " ")
				for (k = 1; k <= count; k++) if (!seen[names[k]]++) todo[++n] = names[k]
			}
		}'
}

copy_libraries() { # BINARY TREE: the shared libraries BINARY is linked with, out of $work/deb
	local todo=("$1") lib file
	mkdir -p "$2/lib" "$2/lib64"
	while [ ${#todo[@]} -gt 0 ]; do
		file=${todo[0]}
		todo=("${todo[@]:1}")
		for lib in $(objdump -p "$file" | awk '$1 == "NEEDED" {print $2}'); do
			[ -e "$2/lib/$lib" ] && continue
			cp -L "$(find "$work/deb" -name "$lib" -path '*lib*' | sort | head -n 1)" "$2/lib/$lib"
			todo+=("$2/lib/$lib")
		done
	done
	mv "$2/lib/ld-linux-x86-64.so.2" "$2/lib64/"
	ln -s ../lib64/ld-linux-x86-64.so.2 "$2/lib/"
}

copy_modules() { # TREE NAME...: in the order of loading
	local tree=$1 name file
	shift
	mkdir -p "$tree/modules"
	for name in "$@"; do
		file=$(find "$work/deb/lib/modules" -name "$name.ko*" | head -n 1)
		[ -n "$file" ] || { echo "peers: the kernel has no module $name" >&2; exit 1; }
		case $file in
		*.xz) xz -dc "$file" >"$tree/modules/$name.ko" ;;
		*) cp "$file" "$tree/modules/$name.ko" ;;
		esac
		echo "$name" >>"$tree/modules/order"
	done
}

pack() { # TREE
	(cd "$1" && find . -exec touch -h -d @0 {} + && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible 2>/dev/null) | gzip -1n
}

make_guest() {
	[ "$out/guest.gz" -nt "$here/io.c" ] && [ "$out/guest.gz" -nt "$guest/initrd.gz" ] && return
	mkdir -p "$work/guest/bin"
	gcc -std=gnu11 -Os -Wall -Wextra -Werror -static -s -o "$work/guest/bin/io" "$here/io.c"
	# The kernel unpacks one after the other; the second begins at a multiple of 4.
	{
		cat "$guest/initrd.gz"
		head -c $((-$(stat -c %s "$guest/initrd.gz") & 3)) /dev/zero
		pack "$work/guest"
	} >"$work/guest.gz"
	mv "$work/guest.gz" "$out/guest.gz"
}

make_host() {
	local tree=$work/host kernel name
	[ "$out/host.gz" -nt "$out/guest.gz" ] && [ "$out/host.gz" -nt "$here/host.init" ] && [ "$out/host.gz" -nt "$here/build.sh" ] && return
	kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
	[ -n "$kernel" ] || { echo "peers: apt knows no linux-image-cloud-amd64; run 'apt-get update'" >&2; exit 1; }
	echo "  fetching $kernel, busybox-static, qemu-system-x86 and its libraries"
	mapfile -t packages < <(closure qemu-system-x86)
	fetch "$kernel" busybox-static qemu-system-data seabios "${packages[@]}"
	mkdir -p "$tree"/{bin,proc,sys,dev,firmware}
	cp "$work/deb/bin/busybox" "$work/deb/usr/bin/qemu-system-x86_64" "$tree/bin/"
	copy_libraries "$tree/bin/qemu-system-x86_64" "$tree"
	copy_modules "$tree" virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk irqbypass kvm kvm-amd tun tap llc stp bridge \
		vhost_iotlb vhost vhost_net failover net_failover virtio_net
	for name in seabios/bios-256k.bin qemu/linuxboot_dma.bin qemu/kvmvapic.bin; do
		cp -L "$work/deb/usr/share/$name" "$tree/firmware/"
	done
	install -m 755 "$here/host.init" "$tree/init"
	cp "$guest/vmlinuz" "$out/guest.gz" "$tree/"
	for name in "$kernel" busybox-static qemu-system-x86 seabios; do
		dpkg-deb -W --showformat '${Package} ${Version}\n' "$out/deb/${name}"_*.deb
	done >"$out/versions"
	cp "$work"/deb/boot/vmlinuz-* "$out/vmlinuz"
	pack "$tree" >"$work/host.gz"
	mv "$work/host.gz" "$out/host.gz"
}

make_guest
[ "$2" = guest ] || make_host
