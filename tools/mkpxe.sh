#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# mkpxe.sh FOLDER KERNEL "boot options" [modules...]: a TFTP root with boot.ipxe (iPXE) and GRUB trees for BIOS and UEFI
# clients. Boot file names: boot.ipxe | grubpc/i386-pc/core.0 | grubefi/x86_64-efi/core.efi
set -euo pipefail

tftp=$1 elf=$2 options=$3
shift 3
mkdir -p "$tftp"
cp "$elf" "$tftp/socle.elf"
{
	echo '#!ipxe'
	echo "kernel socle.elf $options || goto fail"
	for module in "$@"; do
		cp "$module" "$tftp/"
		echo "module $(basename "$module") $(basename "$module") || goto fail"
	done
	echo 'boot || goto fail'
	echo ':fail'
	echo 'echo Socle could not be loaded: see the message above; the files belong in the TFTP root'
	echo 'shell'
} >"$tftp/boot.ipxe"

grub_tree() { # ARCH FOLDER multiboot-command module-command
	local source
	source=$(dirname "$(dpkg -L grub-pc-bin grub-efi-amd64-bin | grep -m1 "/grub/$1/moddep\.lst$")")
	grub-mknetdir --net-directory="$tftp" --subdir="$2" -d "$source" >/dev/null 2>&1
	{
		echo 'serial --unit=0 --speed=115200'
		echo 'terminal_output console serial'
		echo 'set timeout=0'
		echo 'menuentry "Socle" {'
		echo "  $3 /socle.elf $options"
		for module in "${modules[@]}"; do
			echo "  $4 /$(basename "$module") $(basename "$module")"
		done
		echo '}'
	} >"$tftp/$2/grub.cfg"
}
modules=("$@")
grub_tree i386-pc grubpc multiboot2 module2
grub_tree x86_64-efi grubefi multiboot2 module2
echo "network boot files: $tftp (boot file: boot.ipxe, grubpc/i386-pc/core.0 or grubefi/x86_64-efi/core.efi)"
