# SPDX-License-Identifier: BSD-2-Clause
"""The image boots in every way it is meant to: -kernel, GRUB on BIOS and UEFI, and over the network."""
import subprocess

import pytest
from host import BUILD, IMAGE, ROOT, Host

OPTIONS = "ip=dhcp mgmt.insecure=1"


def package_file(package, ending):
    out = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=True).stdout
    return next(line for line in out.splitlines() if line.endswith(ending))


def uefi(tmp_path):
    code, variables = package_file("ovmf", "/OVMF_CODE_4M.fd"), package_file("ovmf", "/OVMF_VARS_4M.fd")
    copy = tmp_path / "vars.fd"
    copy.write_bytes(open(variables, "rb").read())
    return ["-machine", "q35", "-drive", f"if=pflash,format=raw,readonly=on,file={code}", "-drive", f"if=pflash,format=raw,file={copy}"]


@pytest.fixture(scope="module")
def iso(tmp_path_factory):
    out = tmp_path_factory.mktemp("iso") / "socle.iso"
    module = tmp_path_factory.mktemp("module") / "hello"
    module.write_bytes((BUILD / "guests" / "hello").read_bytes())
    subprocess.run([ROOT / "tools" / "mkiso.sh", out, IMAGE, OPTIONS, module], check=True)
    return out


@pytest.fixture(scope="module")
def pxe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pxe")
    hello = folder / "hello-module"
    hello.write_bytes((BUILD / "guests" / "hello").read_bytes())
    subprocess.run([ROOT / "tools" / "mkpxe.sh", folder / "tftp", IMAGE, OPTIONS, hello], check=True, stdout=subprocess.DEVNULL)
    return folder / "tftp"


def has_module(h, name):
    assert [i["name"] for i in h.api.get("/v1/images")["items"]] == [name]


VIRTIO = "virtio-net-pci,disable-legacy=on"


@pytest.mark.parametrize("machine,nic,smp", [("pc", "e1000", 1), ("pc", "e1000", 4), ("pc", VIRTIO, 1), ("q35", "e1000", 4), ("q35", "e1000e", 1), ("q35", VIRTIO, 2)])
def test_kernel(machine, nic, smp):
    with Host(options=OPTIONS, machine=machine, nic=nic, smp=smp, mem=512) as h:
        h.ready()
        host = h.api.get("/v1/host")
        assert host["cpus"] == smp and host["virtualization"]["kind"] == "svm"


def test_iso_bios(iso):
    with Host(boot={"args": ["-cdrom", str(iso)]}, mem=512) as h:
        h.ready(90)
        has_module(h, "hello")


def test_iso_uefi(iso, tmp_path):
    with Host(boot={"args": uefi(tmp_path) + ["-cdrom", str(iso)]}, nic="e1000e", mem=512, smp=2) as h:
        h.ready(150)
        has_module(h, "hello")
        assert h.api.get("/v1/host")["cpus"] == 2


def test_ipxe(pxe):
    with Host(boot={"netdev": f",tftp={pxe},bootfile=boot.ipxe", "args": ["-boot", "n"]}, mem=512) as h:
        h.ready(120)
        has_module(h, "hello-module")


def test_grub_pxe_bios(pxe):
    with Host(boot={"netdev": f",tftp={pxe},bootfile=grubpc/i386-pc/core.0", "args": ["-boot", "n"]}, mem=512) as h:
        h.ready(120)
        has_module(h, "hello-module")


def test_grub_pxe_uefi(pxe, tmp_path):
    boot = {"netdev": f",tftp={pxe},bootfile=grubefi/x86_64-efi/core.efi", "nic": ",bootindex=0", "args": uefi(tmp_path)}
    with Host(boot=boot, nic="virtio-net-pci,disable-legacy=on", mem=512) as h:
        h.ready(180)
        has_module(h, "hello-module")


def test_no_svm():
    """Without SVM everything but starting a VM works, and that says why."""
    with Host(options=OPTIONS, cpu="EPYC,-svm", mem=512) as h:
        h.ready()
        virt = h.api.get("/v1/host")["virtualization"]
        assert virt["kind"] == "none" and "SVM" in virt["reason"]
        h.api.upload("hello", BUILD / "guests" / "hello")
        h.api.post("/v1/vms", {"name": "a", "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "hello"}})
        status, _, body = h.api.raw("POST", "/v1/vms/a/actions/start")
        assert status in (409, 422, 501) and b"SVM" in body, body


def test_bad_options_warn():
    with Host(options="ip=nonsense bogus=1 mgmt.insecure=1", mem=512) as h:
        h.serial.wait(r"(?i)warning.*ip=", 30)
        h.serial.wait(r"(?i)warning.*bogus", 30)
        h.ready()


def test_port_closed_without_insecure():
    with Host(options="ip=dhcp", mem=512) as h:
        h.ready()
        with pytest.raises(OSError):
            h.api.raw("GET", "/healthz")


def test_ipv6_slaac_and_ping():
    """QEMU's user network announces a prefix; the address shows in /v1/host."""
    with Host(options=OPTIONS, mem=512) as h:
        h.ready()
        for _ in range(50):
            addresses = str(h.api.get("/v1/host")["network"])
            if "fec0:" in addresses.lower():
                return
            import time
            time.sleep(0.2)
        raise AssertionError(addresses)
