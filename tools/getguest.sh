#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# getguest.sh OUT: Debian's own cloud kernel (OUT/vmlinuz) and a busybox initrd (OUT/initrd.gz) for the demo and the tests,
# and the kernel's device-mapper modules with all that they need (OUT/modules) for tests that add them to the initrd.
# The kernel package is checked by apt's signatures; nothing is installed.
set -euo pipefail

out=$1
[ -f "$out/vmlinuz" ] && [ -f "$out/initrd.gz" ] && [ -d "$out/modules" ] && [ "$out/initrd.gz" -nt "$0" ] && exit 0
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch_kernel() {
	local package
	package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
	[ -n "$package" ] || { echo "getguest: apt knows no linux-image-cloud-amd64; run 'apt-get update'" >&2; exit 1; }
	echo "  fetching $package"
	(cd "$work" && apt-get -qq download "$package" 2>/dev/null)
	dpkg-deb -x "$work"/linux-image-*.deb "$work/kernel"
}

# Modules the initrd needs and Debian's kernel does not have built in, in the order of loading: the ACPI power button, virtio.
modules="button evdev virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio-rng
	virtio_blk failover net_failover virtio_net"
# Those that can wait until userspace is up, but for a console that is asked for.
last="virtio_console virtio_balloon"
# Those that are there and not loaded: VLANs.
later="llc stp garp mrp 8021q"

copy_modules() {
	local name file
	mkdir -p "$work/tree/lib/modules"
	echo "$modules" >"$work/tree/lib/modules/order"
	echo "$last" >"$work/tree/lib/modules/last"
	for name in $modules $last $later; do
		file=$(find "$work/kernel/lib/modules" -name "$name.ko*" | head -n 1)
		[ -n "$file" ] || continue
		case $file in
		*.xz) xz -dc "$file" >"$work/tree/lib/modules/$name.ko" ;;
		*) cp "$file" "$work/tree/lib/modules/$name.ko" ;;
		esac
	done
}

keep_mapper_modules() {
	local from=$work/kernel/lib/modules version file name
	version=$(ls "$from")
	rm -rf "$out/modules"
	for name in drivers/md crypto/async_tx crypto/xor.ko crypto/crc32c_generic.ko arch/x86/crypto lib; do
		for file in $(cd "$from/$version/kernel" && find "$name"* -name '*.ko*' 2>/dev/null); do
			mkdir -p "$out/modules/$version/kernel/$(dirname "$file")"
			case $file in
			*.xz) xz -dc "$from/$version/kernel/$file" >"$out/modules/$version/kernel/${file%.xz}" ;;
			*) cp "$from/$version/kernel/$file" "$out/modules/$version/kernel/$file" ;;
			esac
		done
	done
}

make_initrd() {
	local root=$work/tree
	mkdir -p "$root"/{bin,proc,sys,dev,etc/acpi/PWRF,tmp}
	cp "$(dpkg -L busybox-static | grep -m1 '/bin/busybox$')" "$root/bin/busybox"
	cat >"$root/init" <<-'I'
		#!/bin/busybox sh
		/bin/busybox --install -s /bin
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		mount -t devtmpfs dev /dev 2>/dev/null
		for m in $(cat /lib/modules/order); do insmod "/lib/modules/$m.ko" 2>/dev/null; done
		grep -q console=hvc0 /proc/cmdline && insmod /lib/modules/virtio_console.ko
		[ -e /proc/self/fd/1 ] || exec </dev/console >/dev/console 2>&1 # console=hvc0: it was not there before
		acpid -d -l /dev/null >/dev/null 2>&1 &
		echo "guest userspace up: $(uname -r), $(nproc) CPUs, $(awk '/MemTotal/ {print $2}' /proc/meminfo) kB, $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
		for m in $(cat /lib/modules/last); do insmod "/lib/modules/$m.ko" 2>/dev/null; done
		for word in $(cat /proc/cmdline); do case $word in run=*) sh -c "$(echo "${word#run=}" | tr , ' ')" ;; esac; done
		exec setsid cttyhack sh
	I
	printf '#!/bin/sh\necho "power button: switching off" >/dev/console\npoweroff -f\n' >"$root/etc/acpi/PWRF/00000080"
	chmod +x "$root/init" "$root/etc/acpi/PWRF/00000080"
	copy_modules
	(cd "$root" && find . -exec touch -h -d @0 {} + && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible 2>/dev/null) | gzip -9n >"$out/initrd.gz"
}

fetch_kernel
keep_mapper_modules
make_initrd
cp "$work"/kernel/boot/vmlinuz-* "$out/vmlinuz"
