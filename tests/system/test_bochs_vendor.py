# SPDX-License-Identifier: BSD-2-Clause
"""One guest looks at the CPU it is given on AMD's extension (QEMU, Bochs) and on Intel's (Bochs, with the APIC in the CPU and without):
CPUID, every MSR, control and debug registers bit by bit, instructions that exit or do not exist. Nothing differs but what docs/support.md
says, what the host CPUs differ in, and what an emulator is known to get wrong."""
import pytest
import vendor
from bochs import BochsHost
from host import BUILD, ROOT, Host, config_file, modules
from models import RYZEN, SANDY_BRIDGE, SKYLAKE

OPTIONS = "console.guests=vendor"


def look(directory, model=None, cmdline=""):
    boot = {"kernel": "vendor", **({"cmdline": cmdline} if cmdline else {})}
    config = config_file(directory, [{"name": "vendor", "vcpus": 2, "memory": "16MiB", "boot": boot, "autostart": True}])
    if model:
        host = BochsHost(OPTIONS, [BUILD / "guests" / "vendor", config], model=model.name, net=False)
    else:
        host = Host(options=OPTIONS, mem=256, net=False, modules=modules((BUILD / "guests" / "vendor", "vendor"), (config, "socle.json")))
    with host as h:
        h.serial.wait(r"\[vendor\] ok vendor$", 90)
        return vendor.seen(h.serial.text)


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    def at(*args):
        return look(tmp_path_factory.mktemp("vendor"), *args)

    return {"tcg": at(None, "loose"), "ryzen": at(RYZEN, "loose"), "skylake": at(SKYLAKE), "sandy": at(SANDY_BRIDGE)}


def test_intel_with_and_without_apic(views):
    assert not vendor.differences(views["skylake"], views["sandy"], vendor.HOST)


def test_amd_and_intel(views):
    assert not vendor.differences(views["ryzen"], views["skylake"], vendor.HOST, vendor.VENDOR, vendor.LOOSE)


def test_emulators_of_amd(views):
    assert not vendor.differences(views["tcg"], views["ryzen"], vendor.HOST, vendor.VENDOR, vendor.TCG)


@pytest.mark.parametrize("name", ["tcg", "ryzen", "skylake", "sandy"])
def test_features(views, name):
    """No feature is shown that is not meant to be, and each machine shows the paravirtual leaves alike."""
    assert not vendor.too_much(views[name])
    assert views[name]["cpuid 40000000.0"].startswith("40000010 4b4d564b")
    assert len([k for k in views[name] if k.startswith("insn ")]) > 90
    assert len([k for k in views[name] if k.startswith("msr ")]) > 20000


def test_support_md_lists_them():
    text = (ROOT / "docs" / "support.md").read_text()
    missing = [reason for reason in vendor.VENDOR.values() if reason not in text]
    assert not missing
