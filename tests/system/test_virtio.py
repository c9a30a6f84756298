# SPDX-License-Identifier: BSD-2-Clause
"""virtio-rng as Debian's own drivers see it: MSI-X and INTx, bytes, interrupts, rebinding, resets, a device program that dies in the middle;
and that no request stops a vCPU to be answered."""
import re
import time

import pytest
from host import INITRD, KERNEL, Host

GUEST = {"name": "g", "vcpus": 2, "memory": "128MiB", "boot": {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=ttyS0 quiet"}}
DEVICE = "/sys/bus/pci/devices/0000:00:01.0"


class Shell:
    """The guest's shell on its console."""

    def __init__(self, h, name="g"):
        self.h, self.name, self.n = h, name, 0

    def run(self, command, timeout=40):
        """-> what the command prints."""
        self.n += 1
        position = self.h.api.console(self.name)[1]
        self.h.api.raw("POST", f"/v1/vms/{self.name}/console", f"echo begin-$(({self.n}+1000)); {command}; echo end-$(({self.n}+1000))\n".encode())
        text = self.h.api.wait_console(self.name, f"end-{self.n + 1000}", timeout, since=position)
        return text.replace("\r", "").split(f"begin-{self.n + 1000}\n", 1)[1].rsplit(f"end-{self.n + 1000}", 1)[0]

    def interrupts(self):
        """of the queue, summed over vCPUs; and the line's text"""
        lines = [line for line in self.run("cat /proc/interrupts").split("\n") if "virtio0" in line]
        assert lines, "no interrupt of virtio0"
        last = lines[-1]
        return sum(int(n) for n in last.split()[1:3]), last


def start(h, cmdline=GUEST["boot"]["cmdline"], **changes):
    h.api.post("/v1/vms", {**GUEST, "boot": {**GUEST["boot"], "cmdline": cmdline}, **changes})
    h.api.post("/v1/vms/g/actions/start")
    h.api.wait_console("g", "guest userspace up", 90)
    return Shell(h)


@pytest.fixture
def linux(clean):
    clean.api.upload("vmlinuz", KERNEL)
    clean.api.upload("initrd", INITRD)
    return clean


READ = "dd if=/dev/hwrng of=/tmp/r bs=64 count={n} 2>/dev/null; wc -c </tmp/r"


def read(shell, n):
    assert int(shell.run(READ.format(n=n))) == 64 * n


def test_msix(linux):
    """Found with MSI-X; bytes that differ; an interrupt for about each request; none of them stops a vCPU."""
    shell = start(linux)
    assert "0x1af4" in shell.run(f"cat {DEVICE}/vendor") and "0x1044" in shell.run(f"cat {DEVICE}/device")
    assert shell.run("cat /sys/class/misc/hw_random/rng_current").strip() == "virtio_rng.0"
    before, line = shell.interrupts()
    assert "PCI-MSI" in line and "input" in line, line
    stats = linux.api.get("/v1/vms/g/stats")
    read(shell, 500)
    after = linux.api.get("/v1/vms/g/stats")
    assert after["parks"] == stats["parks"], "requests park the vCPU"
    rung = after["doorbells"] - stats["doorbells"]
    assert rung >= 400
    assert after["exits"]["mmio"] == stats["exits"]["mmio"], "the doorbell is a port, and there is nothing else to ask"
    assert shell.interrupts()[0] - before >= 400
    sums = shell.run("for i in 1 2 3 4; do dd if=/dev/hwrng bs=64 count=2 2>/dev/null | md5sum; done").split()
    assert len({s for s in sums if len(s) == 32}) == 4, sums
    zeros = int(shell.run("dd if=/dev/hwrng bs=64 count=256 2>/dev/null | tr -dc '\\000' | wc -c"))
    assert 20 < zeros < 130, f"{zeros} of 16384 bytes are zero"  # 64 are to be expected


def test_intx(linux):
    shell = start(linux, GUEST["boot"]["cmdline"] + " pci=nomsi")
    before, line = shell.interrupts()
    assert "IO-APIC" in line and re.search(r"\b17-fasteoi", line), line
    read(shell, 200)
    assert shell.interrupts()[0] - before >= 150


def test_rebind_and_resets(linux):
    """The driver lets go and takes it again; the device is switched off and on; the guest is reset by its own hand and from outside."""
    shell = start(linux)
    for _ in range(3):
        read(shell, 10)
        shell.run("echo virtio0 >/sys/bus/virtio/drivers/virtio_rng/unbind")
        assert "virtio" not in shell.run("cat /sys/class/misc/hw_random/rng_available")
        shell.run("echo virtio0 >/sys/bus/virtio/drivers/virtio_rng/bind")
    read(shell, 10)
    shell.run("echo 0000:00:01.0 >/sys/bus/pci/drivers/virtio-pci/unbind; echo 0000:00:01.0 >/sys/bus/pci/drivers/virtio-pci/bind")
    read(shell, 10)
    shell.run(f"echo 1 >{DEVICE}/remove; echo 1 >/sys/bus/pci/rescan")
    read(shell, 10)
    for how in (lambda: linux.api.post("/v1/vms/g/actions/reset"), lambda: linux.api.raw("POST", "/v1/vms/g/console", b"reboot -f\n")):
        position = linux.api.console("g")[1]
        how()
        linux.api.wait_console("g", "guest userspace up", 90, since=position)
        read(shell, 10)


def crash(h, n):
    """The VM's device program ends for the n-th time on this machine."""
    h.api.post("/v1/vms/g/actions/test-crash-vmm")
    h.serial.wait(rf"(VM g: its device program died [\s\S]*){{{n}}}", 10)


@pytest.mark.parametrize("options", ["", " pci=nomsi"], ids=["msix", "intx"])
def test_vmm_ends(options):
    """Twice in the middle of reads: every byte that was asked for comes, and the same driver instance goes on."""
    with Host(options="ip=dhcp mgmt.insecure=1 test.hooks=1", mem=512, smp=2) as h:
        h.ready()
        h.api.upload("vmlinuz", KERNEL)
        h.api.upload("initrd", INITRD)
        shell = start(h, GUEST["boot"]["cmdline"] + options)
        said = shell.run("dmesg | grep -c virtio")
        position = h.api.console("g")[1]
        h.api.raw("POST", "/v1/vms/g/console", b"dd if=/dev/hwrng of=/tmp/r bs=64 count=30000 2>/dev/null; wc -c </tmp/r; echo read-$((40+2))\n")
        before = h.api.get("/v1/vms/g/stats")["doorbells"]
        for n in (1, 2):
            crash(h, n)
            time.sleep(0.5)
            now = h.api.get("/v1/vms/g/stats")["doorbells"]
            assert now > before, "no requests while it died"
            before = now
        text = h.api.wait_console("g", "read-42", 120, since=position)
        assert "1920000" in text, text
        read(shell, 10)
        assert shell.run("dmesg | grep -c virtio") == said
        print(h.serial.text[-2000:])
