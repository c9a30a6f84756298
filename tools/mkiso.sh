#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# mkiso.sh OUT.iso KERNEL "boot options" [modules...]: hybrid BIOS + UEFI GRUB image; menu and messages on screen and COM1.
# The same input and SOURCE_DATE_EPOCH give the same bytes.
set -euo pipefail
umask 022
export TZ=UTC # FAT has local times

out=$1 elf=$2 options=$3
shift 3
dir=$(mktemp -d)
bin=$(mktemp -d)
trap 'rm -rf "$dir" "$bin"' EXIT
mkdir -p "$dir/boot/grub"
cp "$elf" "$dir/boot/socle.elf"
{
	echo 'serial --unit=0 --speed=115200'
	echo 'terminal_input console serial'
	echo 'terminal_output console serial'
	echo 'set timeout=0'
	echo 'menuentry "Socle" {'
	echo "  multiboot2 /boot/socle.elf $options"
	for module in "$@"; do
		cp "$module" "$dir/boot/"
		echo "  module2 /boot/$(basename "$module") $(basename "$module")"
	done
	echo '}'
} >"$dir/boot/grub/grub.cfg"
find "$dir" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +
log=$(mktemp)
stamp=$(date -u -d "@${SOURCE_DATE_EPOCH:-0}" +%Y%m%d%H%M%S00)
# grub-mkrescue makes the UEFI part's FAT; mformat would give it a random serial number.
printf '#!/bin/sh\nexec %s -N %08x "$@"\n' "$(command -v mformat)" "${SOURCE_DATE_EPOCH:-0}" >"$bin/mformat"
chmod +x "$bin/mformat"
PATH=$bin:$PATH grub-mkrescue -o "$out" "$dir" -- -volume_date all_file_dates "=${SOURCE_DATE_EPOCH:-0}" -volume_date uuid "$stamp" >"$log" 2>&1 ||
	{ cat "$log" >&2; rm -f "$log"; exit 1; }
rm -f "$log"
