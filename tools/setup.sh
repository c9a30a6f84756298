#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# setup.sh: installs the Debian packages the build and the tests need, and says which and why. Nothing to do: silent.
set -euo pipefail

# package: what for
packages="
gcc: compiler
binutils: linker
dpkg-dev: unpacking third-party sources
debian-archive-keyring: checking third-party sources
xz-utils: unpacking third-party sources
acpica-tools: guests' ACPI tables
openssl: signing upgrades
grub-common: boot image
grub-pc-bin: boot image, BIOS
grub-efi-amd64-bin: boot image, UEFI
xorriso: boot image
mtools: boot image
qemu-system-x86: running and testing
ovmf: testing, UEFI
ipxe-qemu: testing, network boot
seabios: testing
bochs: testing, second emulator
bochs-term: testing, second emulator
bochsbios: testing, second emulator
vgabios: testing, second emulator
busybox-static: demo and test guests
cpio: demo and test guests
curl: demo
python3: tests
python3-pytest: tests
python3-pytest-xdist: tests, two at a time
libcmocka-dev: unit tests
clang-14: fuzzing
libclang-rt-14-dev: fuzzing
clang-format-14: lint
cppcheck: lint
prometheus: tests (promtool)
lvm2: tests (volumes of Debian's LVM)
debootstrap: tests (a Debian on a volume)
fdisk: tests (sfdisk)
gdisk: tests (sgdisk)
gdb: tests (page-table audit)
"
missing=()
while IFS=: read -r name _; do
	[ -n "$name" ] || continue
	dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$name")
done <<<"$packages"
[ ${#missing[@]} -eq 0 ] && exit 0

echo "Socle needs these Debian packages, which are not installed:"
for name in "${missing[@]}"; do
	printf '  %-24s %s\n' "$name" "$(grep "^$name:" <<<"$packages" | cut -d: -f2-)"
done
sudo=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "Install them as root: apt-get install ${missing[*]}" >&2; exit 1; }
	sudo=sudo
	echo "Installing them through sudo."
fi
$sudo apt-get -qq update
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
