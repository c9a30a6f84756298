# SPDX-License-Identifier: BSD-2-Clause
"""Every hypercall survives garbage, and does what docs/abi.md says: tests/prog runs in the place of both programs."""
import re

import pytest
from bochs import BochsHost
from host import BUILD, Host

DONE = r"hctest: done, (\d+) checks, (\d+) failed"


def run(options="", **host):
    with Host(image=BUILD / "hv-hctest.elf", options=options, mem=256, net=False, limit=150, **host) as h:
        done = h.serial.wait(DONE, 140)
        assert done.group(2) == "0", "\n".join(re.findall(r".*FAILED.*", h.serial.text))
        assert "panic" not in h.serial.text
        return h.serial.text, int(done.group(1))


@pytest.mark.parametrize("smp", [1, 2, 4])
def test_hypercalls(smp):
    text, checks = run(smp=smp)
    assert checks > 300
    assert "TSC ticks" in text  # the VM calls were among them


def test_without_virtualization():
    text, _ = run(cpu="qemu64,-svm")
    assert "no virtualization: VM checks left out" in text


def test_death_of_the_control_kernel():
    """hv reports it, cuts its devices off memory, starts the next instance, and gives up after the third; VMs and vmm programs run on."""
    with Host(image=BUILD / "hv-hctest.elf", options="die", mem=256, limit=60) as h:
        h.serial.wait(r"dying, 0 failed", 40)
        bdf = int(re.search(r"function ([0-9a-f]+), command 107", h.serial.text).group(1), 16)
        h.serial.wait(r"the control kernel .* ended: page fault, code 6, .* cr2 1234", 20)
        assert len(re.findall(r"instance \d of the control kernel is started", h.serial.wait(r"[\s\S]*ended 3 times within a minute\n", 20)[0])) == 2
        h.serial.wait(r"running VMs run on\n(.*\n)*.*tick \d+, VM in state 1\n(.*\n)*.*tick \d+, VM in state 1\n", 20)
        h.monitor(f"o /l 0xcf8 {0x80000004 | bdf << 8:#x}")
        assert "0x0103" in h.monitor("i /h 0xcfc")


def test_cost_and_shares():
    """A port read that the vmm answers on the same CPU: instructions per round, the guest's loop included. Here the
    shares of the CPU (weights, cap, wake-ups of programs) are checked exactly, too."""
    text, _ = run(icount=True, options="exact")
    assert int(re.search(r"parked (\d+)", text).group(1)) <= 1500


@pytest.mark.parametrize("model", ["ryzen", "corei7_skylake_x"])
def test_on_bochs(model):
    """Stricter CPUs. As far as the guests that spin with interrupts off, which Bochs 2.7 never leaves again."""
    with BochsHost("", image=BUILD / "hv-hctest.elf", net=False, model=model) as h:
        h.serial.wait(r"TSC ticks.*\n", 150)
        h.serial.wait(r"memory was given back\n", 60)
        assert "FAILED" not in h.serial.text
