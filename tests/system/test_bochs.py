# SPDX-License-Identifier: BSD-2-Clause
"""Bochs' ryzen model, a second opinion on SVM that is stricter than QEMU's: 64-bit exit codes, next-RIP, flush by ASID, #GP on
registers the CPU does not have. All guests that can run there are boot modules of one machine; then two CPUs."""
import re
import shutil
import subprocess

import bochs
from host import BUILD, IMAGE, ROOT, config_file
from test_guests import GUESTS, expected, settings

# Bochs 2.7's own defects; QEMU runs these.
UNFIT = {
    "triple_fault": "a guest's triple fault ends Bochs (panic) instead of the guest",
    "events": "the guest's single step is raised in the host as well, right after the #VMEXIT",
    "debug_regs": "a guest's #DB that exits is raised again as soon as it has been injected, for ever",
    "string_edges": "VMRUN does not load CR2 (APM2 15.5.1), so a page fault that hv raises has another's address",
    "spin": "no external interrupt leaves a guest that was entered with IF=0 and leaves it so: it is never preempted",
    "registers": "as spin",
}
# Three rounds of it take a minute.
ENOUGH = {"churn": [r"\[churn\] round 0$"]}
TWO_CPUS = ["hello", "ipi_storm", "smp"]
# What hv reads to find out whether it is there (VM_CR): everything else it must know beforehand.
PROBED = {"0xc0010114"}


def make_iso(tmp_path, names, options):
    vms, files = [], []
    for name in names:
        own = {k: v for k, v in settings(name).items() if k != "host_cpus"}
        vms.append({"name": name, "vcpus": 1, "memory": "16MiB", "boot": {"kernel": name}, "autostart": True, **own})
        shutil.copy(BUILD / "guests" / name, tmp_path / name)
        files.append(tmp_path / name)
    files.append(config_file(tmp_path, vms))
    iso = tmp_path / "bochs.iso"
    subprocess.run([ROOT / "tools" / "mkiso.sh", iso, IMAGE, options, *files], check=True)
    return iso


def run(tmp_path, names, **machine):
    iso = make_iso(tmp_path, names, "console.guests=all")
    until = "".join(rf"(?=[\s\S]*{ENOUGH.get(name, expected(name))[-1]})" for name in names)
    text = bochs.run(iso, until, tmp_path, limit=180, **machine)
    assert "FAILED" not in text, text[-2000:]
    unknown = set(re.findall(r"(?:RD|WR)MSR: Unknown register (0x\w+)", (tmp_path / "bochs.log").read_text(errors="replace")))
    assert unknown <= PROBED, f"hv touched registers this CPU does not have: {unknown - PROBED}"
    return text


def test_guests(tmp_path):
    run(tmp_path, [name for name in GUESTS if name not in UNFIT])


def test_two_cpus(tmp_path):
    text = run(tmp_path, TWO_CPUS, cpus=2)
    assert re.search(r"hv up, 2 CPUs, AMD SVM", text), text[:2000]
