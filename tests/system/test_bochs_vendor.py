# SPDX-License-Identifier: BSD-2-Clause
"""One guest looks at the CPU it is given on AMD's extension (QEMU, Bochs) and on Intel's (Bochs, with the APIC in the CPU and without):
CPUID, every MSR, control and debug registers bit by bit, instructions that exit or do not exist. Nothing differs but what docs/support.md
says, what the host CPUs differ in, and what an emulator is known to get wrong."""
import pytest
import vendor
from bochs import BochsHost
from host import BUILD, ROOT, Host, config_file, modules
from models import RYZEN, SANDY_BRIDGE, SKYLAKE

GUEST = BUILD / "guests" / "vendor"
MODELS = {"tcg": None, "ryzen": RYZEN, "skylake": SKYLAKE, "sandy": SANDY_BRIDGE}
# How strict the machine is (main.c).
CMDLINE = {"tcg": "loose", "ryzen": "keep-paging"}


def look(directory, name):
    model = MODELS[name]
    boot = {"kernel": "vendor", "cmdline": CMDLINE.get(name, "")}
    config = config_file(directory, [{"name": "vendor", "vcpus": 2, "memory": "16MiB", "boot": boot, "autostart": True}])
    if model:
        host = BochsHost("console.guests=vendor", [GUEST, config], model=model.name, net=False)
    else:
        host = Host(options="console.guests=vendor", mem=256, net=False, modules=modules((GUEST, "vendor"), (config, "socle.json")))
    with host as h:
        h.serial.wait(r"\[vendor\] ok vendor$", 90)
        return vendor.seen(h.serial.text)


def look_bare(name):
    """The same without Socle: CPUID only."""
    model = MODELS[name]
    with BochsHost("", model=model.name, net=False, image=GUEST) if model else Host(options="", mem=256, net=False, image=GUEST) as h:
        h.serial.wait(r"^ok vendor$", 60)
        return vendor.seen(h.serial.text)


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    return {name: look(tmp_path_factory.mktemp("vendor"), name) for name in MODELS}


def test_intel_with_and_without_apic(views):
    assert not vendor.differences(views["skylake"], views["sandy"], vendor.HOST)


def test_amd_and_intel(views):
    assert not vendor.differences(views["ryzen"], views["skylake"], vendor.HOST, vendor.VENDOR, vendor.KEPT)


def test_emulators_of_amd(views):
    assert not vendor.differences(views["tcg"], views["ryzen"], vendor.HOST, vendor.VENDOR, vendor.TCG)


@pytest.mark.parametrize("name", MODELS)
def test_features(views, name):
    """Of the features of the bare machine exactly those are shown that are meant to be, and they work; the others do not."""
    assert not vendor.wrong_features(look_bare(name), views[name])
    assert not vendor.inconsistent(views[name], CMDLINE.get(name) == "loose")
    assert views[name]["cpuid 40000000.0"].startswith("40000010 4b4d564b")
    assert len([k for k in views[name] if k.startswith("insn ")]) > 90
    assert len([k for k in views[name] if k.startswith("msr ")]) > 20000


def test_support_md_lists_them():
    text = (ROOT / "docs" / "support.md").read_text()
    missing = [reason for reason in vendor.VENDOR.values() if reason not in text]
    assert not missing
