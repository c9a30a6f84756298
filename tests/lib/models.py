# SPDX-License-Identifier: BSD-2-Clause
"""The CPUs that Bochs plays: what Socle is to say of each, which guests it is unfit for and why, and which cannot run VMs."""
import re
from dataclasses import dataclass, field

import pytest
from bochs import BochsHost
from guests import GUESTS, expected, settings
from host import BUILD, config_file

@dataclass
class Model:
    name: str  # Bochs' own
    virt: str  # in the line "hv up"
    unfit: dict = field(default_factory=dict)  # guest: which defect of the emulator (QEMU runs them all)
    probed: set = field(default_factory=set)  # MSRs it does not have that hv may try: everything else hv must know beforehand


RYZEN = Model("ryzen", "AMD SVM", probed={"0xc0010114"}, unfit={
    "triple_fault": "a guest's triple fault ends Bochs (panic) instead of the guest",
    "events": "the guest's single step is raised in the host as well, right after the #VMEXIT",
    "debug_regs": "a guest's #DB that exits is raised again as soon as it has been injected, for ever",
    "string_edges": "VMRUN does not load CR2 (APM2 15.5.1), so a page fault that hv raises has another's address",
    "spin": "no external interrupt leaves a guest that was entered with IF=0 and leaves it so: it is never preempted",
    "registers": "as spin",
})
SKYLAKE = Model("corei7_skylake_x", "Intel VMX")  # virtualises the APIC
SANDY_BRIDGE = Model("corei7_sandy_bridge_2600k", "Intel VMX")  # does not
INTEL = [SKYLAKE, SANDY_BRIDGE]

# Boots, manages, and refuses VMs: (model, the reason).
REFUSING = [
    ("corei5_lynnfield_750", "unrestricted guest"),
    ("core2_penryn_t9600", "EPT"),
    ("p4_prescott_celeron_336", "this CPU has no VMX"),
    ("athlon64_clawhammer", "this CPU has no SVM"),
]

# Those that take their time; and what is enough of them here.
SLOW = ["churn", "ipi_storm", "string_edges", "timer_edges", "timers"]
ENOUGH = {"churn": [r"\[churn\] round 0$"]}


def param(model, *marks):
    return pytest.param(model, marks=marks, id=model.name)


def fit(model, slow=False):
    """The guests for a machine; the quick ones unless the slow ones are asked for."""
    return [name for name in GUESTS if name not in model.unfit and slow == (name in SLOW)]


def run_guests(model, names, directory, options="", **machine):
    """All of them at once as boot modules of one machine -> its serial text."""
    vms = []
    for name in names:
        own = {k: v for k, v in settings(name).items() if k != "host_cpus"}
        vms.append({"name": name, "vcpus": 1, "memory": "16MiB", "boot": {"kernel": name}, "autostart": True, **own})
    files = [*(BUILD / "guests" / name for name in names), config_file(directory, vms)]
    with BochsHost(f"console.guests=all {options}", files, model=model.name, net=False, **{"mem": 384, "limit": 900, **machine}) as h:
        for name in names:
            pattern = ENOUGH.get(name, expected(name))[-1]
            h.serial.wait(rf"{pattern}|FAILED|panic:|VM {name} (is crashed|did not start)", 400)
            assert re.search(pattern, h.serial.text, re.M), h.serial.wait(r"(FAILED|panic:|is crashed|did not start)[\s\S]*", 1)[0][:1000]
        assert "FAILED" not in h.serial.text, h.serial.text[-2000:]
        assert re.search(rf"hv up, \d+ CPUs?, {model.virt}", h.serial.text), h.serial.text[:2000]
        assert h.unknown_msrs() <= model.probed, f"hv touched registers this CPU does not have: {h.unknown_msrs() - model.probed}"
        return h.serial.text
