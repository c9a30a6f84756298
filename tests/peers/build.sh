#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# build.sh OUT: what the peers' side of the I/O figures runs, from Debian's packages (checked by apt, nothing is installed).
#   OUT/vmlinuz   Debian's cloud kernel, for the host and for the guests of both sides
#   OUT/guest.gz  the guests' initrd: busybox, virtio modules, the measuring program (io.c)
#   OUT/host.gz   the KVM host's initrd: busybox, kvm and tun modules, QEMU and its libraries, and the two files above
#   OUT/versions  what was taken
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=$1
mkdir -p "$out/deb"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() { # PACKAGE...: downloads each once and unpacks it into $work/root
	local name
	for name in "$@"; do
		compgen -G "$out/deb/${name}_*.deb" >/dev/null || (cd "$out/deb" && apt-get -qq download "$name" 2>/dev/null)
		dpkg-deb -x "$out/deb/${name}"_*.deb "$work/root"
	done
}

depends() { # PACKAGE: the libraries it needs, one a line
	apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$1" |
		awk '$1 ~ /Depends:$/ && $2 ~ /^(lib|zlib)/ {print $2}'
}

closure() { # PACKAGE: it and all libraries that it needs and those need
	local todo=("$1") seen=" $1 " name next
	while [ ${#todo[@]} -gt 0 ]; do
		name=${todo[0]}
		todo=("${todo[@]:1}")
		echo "$name"
		for next in $(depends "$name"); do
			case $seen in *" $next "*) continue ;; esac
			seen+="$next "
			todo+=("$next")
		done
	done
}

needed() { objdump -p "$1" | awk '$1 == "NEEDED" {print $2}'; }

copy_libraries() { # BINARY TREE: the shared libraries BINARY is linked with, out of $work/root
	local todo=("$1") lib file
	mkdir -p "$2/lib" "$2/lib64"
	while [ ${#todo[@]} -gt 0 ]; do
		file=${todo[0]}
		todo=("${todo[@]:1}")
		for lib in $(needed "$file"); do
			[ -e "$2/lib/$lib" ] && continue
			cp -L "$(find "$work/root" -name "$lib" -path '*lib*' | sort | head -n 1)" "$2/lib/$lib"
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
		file=$(find "$work/root/lib/modules" -name "$name.ko*" | head -n 1)
		[ -n "$file" ] || { echo "peers: the kernel has no module $name" >&2; exit 1; }
		case $file in
		*.xz) xz -dc "$file" >"$tree/modules/$name.ko" ;;
		*) cp "$file" "$tree/modules/$name.ko" ;;
		esac
		echo "$name" >>"$tree/modules/order"
	done
}

base() { # TREE INIT
	mkdir -p "$1"/{bin,proc,sys,dev,tmp,etc}
	cp "$work/root/bin/busybox" "$1/bin/busybox"
	cp "$here/$2" "$1/init"
	chmod +x "$1/init"
}

pack() { # TREE FILE
	(cd "$1" && find . -exec touch -h -d @0 {} + && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible 2>/dev/null) | gzip -1n >"$2"
}

virtio="virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk failover net_failover virtio_net"

make_guest() {
	local tree=$work/guest
	base "$tree" guest.init
	gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -s -o "$tree/bin/io" "$here/io.c"
	# shellcheck disable=SC2086
	copy_modules "$tree" $virtio
	pack "$tree" "$out/guest.gz"
}

make_host() {
	local tree=$work/host
	base "$tree" host.init
	# shellcheck disable=SC2086
	copy_modules "$tree" $virtio irqbypass kvm kvm-amd tun tap llc stp bridge vhost_iotlb vhost vhost_net
	cp "$work/root/usr/bin/qemu-system-x86_64" "$work/guest/bin/io" "$tree/bin/"
	copy_libraries "$tree/bin/qemu-system-x86_64" "$tree"
	mkdir -p "$tree/firmware"
	for file in seabios/bios-256k.bin qemu/linuxboot_dma.bin qemu/kvmvapic.bin; do
		cp -L "$work/root/usr/share/$file" "$tree/firmware/"
	done
	cp "$out/vmlinuz" "$out/guest.gz" "$tree/"
	pack "$tree" "$out/host.gz"
}

kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
[ -n "$kernel" ] || { echo "peers: apt knows no linux-image-cloud-amd64; run 'apt-get update'" >&2; exit 1; }
echo "  fetching $kernel, busybox-static, qemu-system-x86 and its libraries"
mapfile -t packages < <(closure qemu-system-x86)
fetch "$kernel" busybox-static qemu-system-data seabios "${packages[@]}"
cp "$work"/root/boot/vmlinuz-* "$out/vmlinuz"
make_guest
make_host
for name in "$kernel" busybox-static qemu-system-x86 seabios; do
	dpkg-deb -W --showformat '${Package} ${Version}\n' "$out/deb/${name}"_*.deb
done >"$out/versions"
