#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# getdebian.sh OUT: a Debian 12 as debootstrap makes it, for tests that run it from a volume: its root file system (OUT/root.ext4), its kernel and
# initrd (OUT/vmlinuz, OUT/initrd.img), and a small package that it has not (OUT/repository), to be installed there. As root; packages are
# checked by their signatures. What is changed: address by DHCP, root on the serial console without a password.
set -euo pipefail

out=$1
[ -f "$out/root.ext4" ] && [ "$out/root.ext4" -nt "$0" ] && exit 0
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
size=720M
package=tree

mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m1 'debian$\|debian/$' || true)
[ -n "$mirror" ] || { echo "getdebian: apt knows no Debian mirror" >&2; exit 1; }
echo "  debootstrap (a minute or two)"
/usr/sbin/debootstrap --variant=minbase --include=systemd-sysv,udev,initramfs-tools,linux-image-cloud-amd64,zstd \
	bookworm "$root" "$mirror" >"$out/log" 2>&1 || { tail -n 20 "$out/log" >&2; exit 1; }

echo debian >"$root/etc/hostname"
echo "/dev/vda / ext4 defaults 0 1" >"$root/etc/fstab"
cat >"$root/etc/systemd/network/10-dhcp.network" <<'N'
[Match]
Name=en*
[Network]
DHCP=ipv4
N
mkdir -p "$root/etc/systemd/system/serial-getty@ttyS0.service.d" "$root/etc/systemd/system/multi-user.target.wants"
cat >"$root/etc/systemd/system/serial-getty@ttyS0.service.d/root.conf" <<'N'
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200 %I dumb
N
ln -sf /lib/systemd/system/systemd-networkd.service "$root/etc/systemd/system/multi-user.target.wants/"
ln -sf /dev/null "$root/etc/systemd/system/apt-daily.timer"
ln -sf /dev/null "$root/etc/systemd/system/apt-daily-upgrade.timer"
# The test's server instead of the mirror.
echo "deb [trusted=yes] http://10.0.2.2:8099/ ./" >"$root/etc/apt/sources.list"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
rm -rf "$root"/usr/lib/modules/*/kernel/{drivers/gpu,drivers/infiniband,drivers/media,sound,net/wireless}

cp "$root"/boot/vmlinuz-* "$out/vmlinuz"
cp "$root"/boot/initrd.img-* "$out/initrd.img"
rm -f "$root"/boot/*

rm -rf "$out/repository"
mkdir -p "$out/repository"
(cd "$out/repository" && apt-get -qq download "$package" 2>/dev/null && dpkg-scanpackages . /dev/null 2>/dev/null >Packages)

mke2fs -q -F -t ext4 -d "$root" "$work/root.ext4" "$size"
mv "$work/root.ext4" "$out/root.ext4"
