# SPDX-License-Identifier: BSD-2-Clause
"""Drives of the machine: what is written lies in the host's file, what is read is what lies there, whatever the memory looks like;
errors, removal, resets and deaths of the control kernel end requests and not drives."""
import http.client
import random
import re
import struct
import subprocess
import threading
import time
import urllib.parse
import zlib

import pytest
from host import Api, Host, Problem

MIB = 1 << 20
SIZE = 64 * MIB
OPTIONS = "ip=dhcp mgmt.insecure=1 test.hooks=1"
# name -> (sector, device options); the machine has them all.
DISKS = {
    "virtio@00:04.0": (512, ["virtio-blk-pci,drive=d0,addr=4,serial=serial-v0,disable-legacy=on"]),
    "virtio@00:05.0": (4096, ["virtio-blk-pci,drive=d1,addr=5,logical_block_size=4096,physical_block_size=4096,vectors=0"]),
    "nvme@00:06.0/1": (512, ["nvme,id=nv,addr=6,serial=serial-n,mdts=5", "nvme-ns,bus=nv,drive=d2,nsid=1"]),
    "nvme@00:06.0/3": (4096, ["nvme-ns,bus=nv,drive=d3,nsid=3,logical_block_size=4096,physical_block_size=4096"]),
}
NVME_MD = ["nvme-ns,bus=nv,drive=d9,nsid=4,ms=8"]


def pattern(offset, n, seed):
    first = offset // 4
    return struct.pack(f"<{n // 4}I", *[(i * 2654435761 + seed) & 0xffffffff for i in range(first, first + n // 4)])


def drive(path, name, size=SIZE, options="discard=unmap"):
    with path.open("wb") as f:
        f.truncate(size)
    return ["-drive", f"file={path},if=none,id={name},format=raw,{options}"]


def devices(*options):
    return [a for o in options for a in ("-device", o)]


def url(name):
    return "/v1/disks/" + urllib.parse.quote(name, safe="")


def wait_disks(h, n, timeout=30):
    deadline = time.monotonic() + timeout
    while True:
        answer = h.api.get("/v1/disks")
        if answer["settled"] and len(answer["items"]) >= n:
            return {d["name"]: d for d in answer["items"]}
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)


def io(h, disk, op, offset=0, n=0, **more):
    return h.api.post(f"{url(disk)}/actions/test-io", {"op": op, "offset": offset, "bytes": n, **more})


def all_ok(answer, count=1):
    assert answer["ok"] == count, answer
    return answer


class Machine:
    def __init__(self, path):
        self.files, extra = {}, []
        for i, (name, (_, options)) in enumerate(DISKS.items()):
            self.files[name] = path / f"disk{i}"
            extra += drive(self.files[name], f"d{i}") + devices(*options)
        extra += drive(path / "md", "d9") + devices(*NVME_MD)
        self.host = Host(options=OPTIONS, mem=512, machine="q35", nic="e1000,addr=3", extra=extra, limit=500)

    def content(self, disk, offset, n):
        with self.files[disk].open("rb") as f:
            f.seek(offset)
            return f.read(n)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    m = Machine(tmp_path_factory.mktemp("disks"))
    with m.host as h:
        h.ready()
        wait_disks(h, len(DISKS))
        yield m
        print(h.serial.text[-3000:])


def test_what_is_shown(machine):
    disks = wait_disks(machine.host, len(DISKS))
    assert sorted(disks) == sorted(DISKS)
    for name, d in disks.items():
        assert d["bytes"] == SIZE and d["sector_bytes"] == DISKS[name][0] and d["state"] == "ready", d
        assert d["discard"] and d["write_cache"] and not d["read_only"], d
    assert disks["virtio@00:04.0"]["serial"] == "serial-v0"
    assert disks["nvme@00:06.0/1"]["serial"] == "serial-n" and disks["nvme@00:06.0/1"]["model"] == "QEMU NVMe Ctrl"
    assert "nvme@00:06.0/4: its format has metadata" in machine.host.serial.text
    with pytest.raises(Problem) as e:
        machine.host.api.get(url("nvme@00:06.0/2"))
    assert e.value.status == 404


def test_content_is_shown(machine, tmp_path):
    h, name = machine.host, "virtio@00:04.0"
    assert h.api.get(url(name))["signature"] is None
    subprocess.run(["/usr/sbin/sgdisk", "-n", "1:2048:4095", "-n", "2:8192:0", "-t", "2:8e00", "-c", "2:data", machine.files[name]], check=True, capture_output=True)
    d = h.api.get(url(name))
    assert d["signature"] == "GPT partition table" and d["partition_table"]["kind"] == "gpt"
    assert [(p["number"], p["offset"], p["lvm"], p["name"]) for p in d["partition_table"]["partitions"]] == [(1, MIB, False, ""), (2, 4 * MIB, True, "data")]
    assert d["stats"]["reads"] > 0


SHAPES = [{}, {"seg_at": 512}, {"seg_at": 4}, {"seg_at": 1}, {"seg_bytes": 4096}, {"seg_bytes": 4096, "seg_gap": 4096}, {"seg_bytes": 512, "seg_gap": 512},
          {"seg_bytes": 1000, "seg_gap": 3, "seg_at": 7}, {"seg_bytes": 4096, "seg_at": 2048, "seg_gap": 4096}, {"seg_bytes": 65536, "seg_at": 4092}]


@pytest.mark.parametrize("disk", DISKS)
def test_write_and_read(machine, disk):
    """Sizes and shapes of memory: one write by a seeded choice of each, compared with the file and read back in another shape."""
    h, sector, rng = machine.host, DISKS[disk][0], random.Random(disk)
    for n in (sector, 2 * sector, 3 * sector, 8192, 64 << 10, 128 << 10, 516 << 10, 900 << 10):
        for shape in rng.sample(SHAPES, 4):
            at = rng.randrange(0, (SIZE - n) // sector) * sector
            if n // shape.get("seg_bytes", n) > 4000 or n + n // shape.get("seg_bytes", n) * shape.get("seg_gap", 0) > 1900 << 10:
                shape = {}
            seed = rng.getrandbits(31)
            all_ok(io(h, disk, "write", at, n, seed=seed, fua=bool(seed & 1), **shape))
            data = pattern(at, n, seed)
            assert machine.content(disk, at, n) == data, (n, shape)
            other = rng.choice(SHAPES[:5])
            assert all_ok(io(h, disk, "read", at, n, **other))["crc"] == [zlib.crc32(data)], (n, other)


@pytest.mark.parametrize("disk", DISKS)
def test_many_in_flight(machine, disk):
    h = machine.host
    for n, shape in ((16384, {}), (16384, {"seg_at": 2, "seg_bytes": 6000, "seg_gap": 1}), (28 << 10, {"seg_bytes": 4096})):
        seed = n + len(shape)
        all_ok(io(h, disk, "write", 8 * MIB, n, count=64, seed=seed, **shape), 64)
        data = pattern(8 * MIB, n * 64, seed)
        assert machine.content(disk, 8 * MIB, n * 64) == data
        assert all_ok(io(h, disk, "read", 8 * MIB, n, count=64, **shape), 64)["crc"] == [zlib.crc32(data[i:i + n]) for i in range(0, n * 64, n)]


@pytest.mark.parametrize("disk", DISKS)
def test_flush_discard_zeroes(machine, disk):
    h, sector = machine.host, DISKS[disk][0]
    before = h.api.get(url(disk))["stats"]
    all_ok(io(h, disk, "write", 20 * MIB, MIB, seed=5))
    all_ok(io(h, disk, "flush"))
    all_ok(io(h, disk, "zeroes", 20 * MIB + sector, 200 * sector))
    assert machine.content(disk, 20 * MIB, 202 * sector) == pattern(20 * MIB, sector, 5) + bytes(200 * sector) + pattern(20 * MIB + 201 * sector, sector, 5)
    all_ok(io(h, disk, "zeroes", 16 * MIB, 8 * MIB, fua=True))
    assert not any(machine.content(disk, 16 * MIB, 8 * MIB))
    all_ok(io(h, disk, "write", 20 * MIB, MIB, seed=6))
    all_ok(io(h, disk, "discard", 20 * MIB, MIB))
    assert not any(machine.content(disk, 20 * MIB, MIB))  # discard=unmap on a file: a hole
    after = h.api.get(url(disk))["stats"]
    assert after["flushes"] == before["flushes"] + 1 and after["discards"] == before["discards"] + 1 and after["errors"] == 0 and after["in_flight"] == 0


@pytest.mark.parametrize("disk", DISKS)
def test_range(machine, disk):
    h, sector = machine.host, DISKS[disk][0]
    for op in ("read", "write", "zeroes", "discard"):
        assert io(h, disk, op, SIZE - sector, 2 * sector)["range"] == 1
        assert io(h, disk, op, SIZE, sector)["range"] == 1
        assert io(h, disk, op, sector // 2, sector)["range"] == 1
    if sector == 4096:
        assert io(h, disk, "read", 0, 512)["range"] == 1


def test_metrics(machine):
    _, _, text = machine.host.api.raw("GET", "/metrics")
    for disk in DISKS:
        assert re.search(rf'^socle_disk_writes_total{{disk="{re.escape(disk)}"}} [1-9]', text.decode(), re.M)


def test_restart_in_the_middle_of_writes(machine):
    """Disks are written to while the control kernel is ended; then all work, and what was acknowledged before is there."""
    h = machine.host
    for disk in DISKS:
        all_ok(io(h, disk, "write", 40 * MIB, MIB, seed=77))
        all_ok(io(h, disk, "flush"))

    def writes(disk):
        api = Api(h.port, timeout=5)
        try:
            for i in range(1000):
                api.post(f"{url(disk)}/actions/test-io", {"op": "write", "offset": 48 * MIB, "bytes": 16384, "count": 64, "seed": i})
        except (OSError, Problem, http.client.HTTPException):
            pass

    instance = h.api.get("/v1/host")["control"]["instance"]
    for n, disk in enumerate(["virtio@00:04.0", "nvme@00:06.0/3"]):  # a third within a minute would be the last (docs/restart.md)
        thread = threading.Thread(target=writes, args=(disk,))
        thread.start()
        time.sleep(0.5)
        h.api.post("/v1/host/control/restart")
        h.serial.wait(rf"(?s)(management ready.*){{{n + 2}}}", 60)
        thread.join()
        wait_disks(h, len(DISKS))
    assert h.api.get("/v1/host")["control"]["instance"] == instance + 2
    for disk in DISKS:
        assert all_ok(io(h, disk, "read", 40 * MIB, MIB))["crc"] == [zlib.crc32(pattern(40 * MIB, MIB, 77))]
        all_ok(io(h, disk, "write", 48 * MIB, 16384, count=64, seed=1), 64)
        assert machine.content(disk, 48 * MIB, MIB) == pattern(48 * MIB, MIB, 1)
