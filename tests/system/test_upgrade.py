# SPDX-License-Identifier: BSD-2-Clause
"""The control kernel is replaced by another program while guests run; what does not do is refused before anything is stopped, or hv falls
back to the program before (docs/restart.md)."""
import re
import subprocess
import time

import pytest
from host import BUILD, ROOT, Host, Problem, config_file, modules

STATIC = "ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 test.hooks=1"
NEWER = BUILD / "upgrade" / "newer.upgrade"
TRAILER = 224
ABI, STORE, VMM = (int(re.search(rf"^#define {name} (\d+)", (ROOT / file).read_text(), re.M)[1]) for name, file in (
    ("HV_ABI_VERSION", "hv/abi/hv_abi.h"), ("KEEP_VERSION", "ctrl-kernel/ops/keep.h"), ("VMM_CONFIG_VERSION", "ctrl-kernel/vmm/vmm_abi.h")))


@pytest.fixture
def soaked(request, tmp_path):
    """Two guests that check every answer of their vmm; on so many CPUs."""
    vms = [{"name": n, "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "soak"}, "autostart": True} for n in ("a", "b")]
    files = modules((BUILD / "guests" / "soak", "soak"), (config_file(tmp_path, vms), "socle.json"))
    with Host(options=STATIC, mem=512, smp=getattr(request, "param", 1), modules=files, limit=200) as h:
        h.ready()
        for vm in "ab":
            h.api.wait_state(vm, "running")
        yield h
        print(h.serial.text[-5000:])


def upgrade(h, file):
    data = file if isinstance(file, bytes) else file.read_bytes()
    status, _, body = h.api.raw("POST", "/v1/host/control/upgrade", data)
    return status, body.decode()


def control(h):
    return h.api.get("/v1/host")["control"]


def wait_instance(h, n):
    """Until instance n answers; a request that was lost with the instance before is not waited for."""
    h.serial.wait(rf"instance {n} of the control kernel is started[\s\S]*management ready", 30)
    h.api.timeout = 1
    deadline = time.monotonic() + 30
    while True:
        try:
            if control(h)["instance"] == n:
                break
        except OSError:
            pass
        assert time.monotonic() < deadline, f"instance {n} does not answer"
    h.api.timeout = 30


def everything(h):
    vms = [{k: v for k, v in vm.items() if k not in ("cpu_time_ns", "stats", "exits")} for vm in h.api.get("/v1/vms")["items"]]
    return vms, h.api.get("/v1/images")


def rounds(h, vm):
    return max(int(r) for r in re.findall(r"round (\d+),", h.api.console(vm)[0].decode()))


def guests_go_on(h):
    for vm in "ab":
        h.api.wait_console(vm, f"round {rounds(h, vm) + 200},", 60)
        assert "FAILED" not in h.api.console(vm)[0].decode()


def sign(tmp_path, key, program, *numbers):
    out = tmp_path / "signed.upgrade"
    subprocess.run([ROOT / "tools" / "sign.sh", key, program, out, "9.9.9", "test", *map(str, numbers)], check=True)
    return out.read_bytes()


@pytest.mark.parametrize("soaked", [1, 2], indirect=True)
def test_upgrade(soaked):
    h = soaked
    before, old = everything(h), h.api.get("/v1/host")
    assert old["version"] != "9.9.9" and old["control"] == {"instance": 1, "build": old["build_id"], "upgraded": False, "last_upgrade": None}
    status, body = upgrade(h, NEWER)
    assert status == 202 and '"version":"9.9.9"' in body, body
    wait_instance(h, 2)
    h.serial.wait("upgrade 1 of the control kernel is healthy", 10)
    new = h.api.get("/v1/host")
    assert new["version"] == "9.9.9" and new["build_id"] == old["build_id"]
    assert new["control"] == {"instance": 2, "build": "newer", "upgraded": True, "last_upgrade": "done"}
    assert everything(h) == before
    guests_go_on(h)
    # It is the one that the next instance is started from, and the way back is an upgrade, too.
    h.api.post("/v1/host/control/restart")
    wait_instance(h, 3)
    assert h.api.get("/v1/host")["version"] == "9.9.9" and control(h)["upgraded"]
    status, body = upgrade(h, BUILD / "ctrl.upgrade")
    assert status == 202, body
    wait_instance(h, 4)
    h.serial.wait("upgrade 2 of the control kernel is healthy", 10)
    back = h.api.get("/v1/host")
    assert back["version"] == old["version"] and back["control"]["build"] == old["control"]["build"] and back["control"]["upgraded"]
    assert everything(h) == before
    # One program in hv's pages, not two: its size, rounded up to a power of two.
    size = (BUILD / "ctrl.elf").stat().st_size
    assert back["memory"]["used"]["hypervisor"] - old["memory"]["used"]["hypervisor"] < 2 * size + 65536
    memory = back["memory"]
    assert memory["total"] == memory["free"] + sum(memory["used"].values())
    assert back["objects"] <= old["objects"] + 2
    guests_go_on(h)


def test_refused(soaked, tmp_path):
    h = soaked
    good, key, elf = NEWER.read_bytes(), BUILD / "signing.key", BUILD / "upgrade" / "newer.elf"
    other = tmp_path / "other.key"
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", other], check=True)
    junk = tmp_path / "junk"
    junk.write_bytes(b"no program" * 100)
    flipped = bytearray(good)
    flipped[-1] ^= 1
    damaged = bytearray(good)
    damaged[1000] ^= 1
    unsigned = bytearray(good)
    unsigned[-TRAILER + 12] ^= 1  # the ABI version in the trailer, after it was signed
    before, memory = everything(h), h.api.get("/v1/host")["memory"]["used"]["hypervisor"]
    for what, file in {
            "signature is wrong": bytes(flipped), "checksum": bytes(damaged), "signature is wrong ": bytes(unsigned),
            "signed with another key": sign(tmp_path, other, elf),
            f"needs version {ABI + 1} of the hypervisor's interface": sign(tmp_path, key, elf, ABI + 1, STORE, STORE, VMM),
            f"takes over stores of version {STORE + 1} to {STORE + 2}": sign(tmp_path, key, elf, ABI, STORE + 1, STORE + 2, VMM),
            f"takes over stores of version 0 to {STORE - 1}": sign(tmp_path, key, elf, ABI, 0, STORE - 1, VMM),
            f"needs version {VMM + 1} of the device program": sign(tmp_path, key, elf, ABI, STORE, STORE, VMM + 1),
            "the hypervisor refuses it": sign(tmp_path, key, junk),
            "no trailer": elf.read_bytes(), "too short": b"x", "empty": b"", "no trailer ": good[:-1], "length": good[1:],
    }.items():
        status, body = upgrade(h, file)
        assert status == 422 and '"code":"bad_upgrade"' in body and what.strip() in body, (what, status, body)
    status, body = upgrade(h, bytes(0x200000 + TRAILER + 1))
    assert status == 413, body
    h.api.timeout = 30
    assert control(h) == {"instance": 1, "build": control(h)["build"], "upgraded": False, "last_upgrade": None}
    assert everything(h) == before and h.api.get("/v1/host")["memory"]["used"]["hypervisor"] <= memory + 65536
    assert "ended" not in h.serial.text
    guests_go_on(h)


LATE, DIED = "it did not become healthy in 5 s", "it ended before it was healthy"


@pytest.mark.parametrize("soaked, name, why", [
    (1, "waits", LATE), (2, "waits", LATE), (1, "hangs", LATE), (2, "hangs", LATE), (1, "exits", DIED), (2, "dies", DIED)], indirect=["soaked"])
def test_falls_back(soaked, name, why):
    h = soaked
    before, old = everything(h), h.api.get("/v1/host")
    assert upgrade(h, BUILD / "upgrade" / f"{name}.upgrade")[0] == 202
    start = time.monotonic()
    h.serial.wait(r"upgrade 1 of the control kernel .*: falling back", 30)
    if why == LATE:
        assert time.monotonic() - start > 4
    wait_instance(h, 3)
    new = h.api.get("/v1/host")
    assert new["version"] == old["version"]
    assert new["control"] == {"instance": 3, "build": old["control"]["build"], "upgraded": False, "last_upgrade": f"fell back: {why}"}
    assert everything(h) == before
    guests_go_on(h)
    memory = h.api.get("/v1/host")["memory"]
    assert memory["total"] == memory["free"] + sum(memory["used"].values())


def test_falls_back_again_and_again(tmp_path):
    """To the last program that was healthy; and such ends are not counted: there may be any number of them in a minute."""
    with Host(options=STATIC, mem=256) as h:
        h.ready()
        assert upgrade(h, NEWER)[0] == 202
        wait_instance(h, 2)
        h.serial.wait("upgrade 1 of the control kernel is healthy", 10)
        for n in range(4):
            assert upgrade(h, BUILD / "upgrade" / ("dies.upgrade", "exits.upgrade")[n % 2])[0] == 202
            wait_instance(h, 4 + 2 * n)
            assert h.api.get("/v1/host")["version"] == "9.9.9"
            assert control(h)["upgraded"] and control(h)["last_upgrade"].startswith("fell back")
        for n in range(2):
            h.api.post("/v1/host/control/test-abort")
            wait_instance(h, 11 + n)
        h.api.post("/v1/host/control/test-abort")
        h.serial.wait("ended 3 times within a minute", 20)


def test_figures(tmp_path):
    """From one instance to the next that serves, with a static address, and the longest that a guest waits for an answer meanwhile; virtual time."""
    vm = {"name": "a", "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "soak"}, "autostart": True}
    files = modules((BUILD / "guests" / "soak", "soak"), (config_file(tmp_path, [vm]), "socle.json"))
    with Host(options=STATIC + " console.guests=all", mem=512, icount=True, nic="virtio-net-pci", modules=files, limit=100) as h:
        h.serial.wait(r"\[a\] round [1-9]\d*,", 60)
        h.api.timeout = 20
        try:
            assert upgrade(h, NEWER)[0] == 202
        except TimeoutError:
            pass  # virtual time runs ahead of the emulator's network: its answer may go with the instance
        h.serial.wait(r"upgrade 1 of the control kernel is healthy[\s\S]*\[a\] round [1-9]\d*, longest \d+ us\n", 60)
        text = h.serial.text

        def at(what):
            return float(re.search(rf"\[ *(\d+\.\d+)\] {what}", text)[1]) * 1000

        ended, healthy = at("hv: the control kernel .* ended"), at("hv: upgrade 1 of .* is healthy")
        stall = max(int(us) for us in re.findall(r"longest (\d+) us", text)) / 1000
        print(f"checked to ended {ended - at('ctrl: upgrade to'):.1f} ms, ended to healthy {healthy - ended:.1f} ms, longest stall {stall:.1f} ms")
        assert healthy - ended <= 100 and stall <= 150
