# SPDX-License-Identifier: BSD-2-Clause
"""Debian's LVM under Debian's kernel: the guest of the other tests with lvm2 of this machine added, in plain QEMU, with disks."""
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from host import ACCEL, BUILD, INITRD, KERNEL

LVM_CONF = """\
global { thin_check_executable = "" thin_repair_executable = "" use_lvmpolld = 0 use_lvmlockd = 0 event_activation = 0 }
activation { udev_sync = 0 udev_rules = 0 verify_udev_operations = 0 monitoring = 0 }
devices { use_devicesfile = 0 obtain_device_list_from_udev = 0 external_device_info_source = "none" md_component_detection = 0 }
backup { backup = 0 archive = 0 }
"""
# disk N of the test is $(disk N): the serial says which it is. What the script prints between the marks is the answer.
PROLOGUE = """\
#!/bin/sh
export PATH=/bin:/sbin LVM_SUPPRESS_FD_WARNINGS=1
disk() { for n in /sys/class/nvme/*; do [ "$(tr -d ' ' <$n/serial)" = disk$1 ] && echo /dev/${n##*/}n1; done; }
exec 2>&1
depmod
for m in dm-mod dm-snapshot dm-thin-pool dm-raid raid1; do modprobe $m; done
echo "=== begin"
"""
EPILOGUE = "\necho '=== end'\npoweroff -f\n"


def libraries(binary):
    text = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", text)


def overlay(script, out):
    """-> an initrd: the base one with lvm2, modules and the script behind it (the kernel unpacks one after the other)."""
    lvm = shutil.which("lvm", path="/usr/sbin:/sbin")
    with tempfile.TemporaryDirectory() as tmp:
        tree = Path(tmp)
        for d in ("sbin", "etc/lvm", "run/lvm", "run/lock/lvm", "mnt", "lib"):
            (tree / d).mkdir(parents=True, exist_ok=True)
        shutil.copy(lvm, tree / "sbin/lvm")
        for lib in libraries(lvm):
            to = tree / lib.lstrip("/")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(lib, to)
        shutil.copytree(BUILD / "guest/modules", tree / "lib/modules", dirs_exist_ok=True)
        (tree / "etc/lvm/lvm.conf").write_text(LVM_CONF)
        (tree / "job.sh").write_text(PROLOGUE + script + EPILOGUE)
        (tree / "job.sh").chmod(0o755)
        cpio = subprocess.run("find . | cpio -o -H newc -R 0:0 --quiet | gzip -1", shell=True, cwd=tree, capture_output=True, check=True).stdout
    base = INITRD.read_bytes()
    out.write_bytes(base + bytes(-len(base) % 4) + cpio)


def run(script, disks, folder, sector=512, timeout=240):
    """Runs the script in the guest with these files as NVMe disks -> what it printed."""
    initrd = folder / "initrd"
    overlay(script, initrd)
    command = ["qemu-system-x86_64", "-accel", ACCEL, "-cpu", "max", "-m", "512", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
               "-kernel", str(KERNEL), "-initrd", str(initrd), "-append", "console=ttyS0 quiet run=/job.sh"]
    for n, disk in enumerate(disks):
        command += ["-drive", f"if=none,id=d{n},file={disk},format=raw,cache=writeback",
                    "-device", f"nvme,drive=d{n},serial=disk{n},logical_block_size={sector},physical_block_size={sector}"]
    r = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, errors="replace")
    assert "=== end" in r.stdout, r.stdout[-4000:] + r.stderr[-2000:]
    return r.stdout.replace("\r", "").split("=== begin\n", 1)[1].split("=== end")[0]
