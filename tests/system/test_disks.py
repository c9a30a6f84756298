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
from concurrent.futures import ThreadPoolExecutor

import pytest
from host import BUILD, Api, Host, Problem

MIB = 1 << 20
SIZE = 64 * MIB
OPTIONS = "ip=dhcp mgmt.insecure=1 test.hooks=1"
# name -> (sector, device options); the machine has them all.
DISKS = {
    "virtio@00:04.0": (512, ["virtio-blk-pci,drive=d0,addr=4,serial=serial-v0,disable-legacy=on"]),
    "virtio@00:05.0": (4096, ["virtio-blk-pci,drive=d1,addr=5,logical_block_size=4096,physical_block_size=4096,vectors=0"]),
    "ahci@00:1f.2/0": (512, ["ide-hd,drive=d2,bus=ide.0,serial=serial-a", "ide-cd,bus=ide.2"]),  # the machine has this controller anyway
    "nvme@00:06.0/1": (512, ["nvme,id=nv,addr=6,serial=serial-n,mdts=5", "nvme-ns,bus=nv,drive=d3,nsid=1"]),
    "nvme@00:06.0/3": (4096, ["nvme-ns,bus=nv,drive=d4,nsid=3,logical_block_size=4096,physical_block_size=4096"]),
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
    assert disks["ahci@00:1f.2/0"]["serial"] == "serial-a" and disks["ahci@00:1f.2/0"]["model"] == "QEMU HARDDISK"
    assert "ahci@00:1f.2/2: an ATAPI drive" in machine.host.serial.text
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


# ---- faults; each on a machine of its own ----

KINDS = {"virtio@00:04.0": ["virtio-blk-pci,drive=d0,addr=4,request-merging=off"], "nvme@00:05.0/1": ["nvme,drive=d1,addr=5,serial=n"],
         "ahci@00:06.0/0": ["ich9-ahci,id=a,addr=6", "ide-hd,drive=d2,bus=a.0"]}


def faulty(tmp_path, options, machine="pc", disks=None, only=None, **more):
    """A machine with a drive of each kind, each drive with these options."""
    extra = []
    for i, (name, device) in enumerate((disks or KINDS).items()):
        if only in (None, name):
            extra += options(i, tmp_path / f"disk{i}") + devices(*device)
    return Host(options=OPTIONS, mem=256, machine=machine, nic="e1000,addr=3", extra=extra, limit=200, **more)


def bad_sector(i, path):
    with path.open("wb") as f:
        f.truncate(SIZE)
    inject = ",".join(f"inject-error.{n}.event=none,inject-error.{n}.iotype={t},inject-error.{n}.sector=4100" for n, t in enumerate(("read", "write")))
    return ["-blockdev", f"driver=file,filename={path},node-name=f{i}", "-blockdev", f"driver=blkdebug,image=f{i},node-name=d{i},{inject}"]


def test_bad_sector(tmp_path):
    """Of 64 requests in flight the one with the bad sector fails, and no other; the drive works on."""
    with faulty(tmp_path, bad_sector) as h:
        h.ready()
        for disk in wait_disks(h, len(KINDS)):
            for op in ("read", "write"):
                for count, n in ((64, 512), (64, 8192), (16, 65536)):
                    answer = io(h, disk, op, 2 * MIB, n, count=count, seed=3, seg_bytes=4096)
                    assert (answer["ok"], answer["io_error"]) == (count - 1, 1), (disk, op, n, answer)
            assert io(h, disk, "write", 2 * MIB, MIB)["io_error"] == 1
            all_ok(io(h, disk, "read", 4 * MIB, 16384, count=64), 64)
            all_ok(io(h, disk, "flush"))
            stats = h.api.get(url(disk))["stats"]
            assert stats["errors"] >= 7 and stats["timeouts"] == 0 and stats["in_flight"] == 0
            assert (stats["resets"] > 0) == disk.startswith("ahci")


def slow(i, path):
    return drive(path, f"d{i}", options="throttling.bps-write=3000")


def overdue(path, disk):
    """A drive whose second write takes 44 s. -> its answers, the seconds they took, statistics, and what is read afterwards."""
    with faulty(path, slow, only=disk) as h:
        h.ready()
        wait_disks(h, 1)
        api, body = Api(h.port, timeout=90), {"op": "zeroes", "offset": 0, "bytes": 128 << 10}
        started = time.monotonic()
        answers = [api.post(f"{url(disk)}/actions/test-io", body) for _ in range(2)]  # the first goes through at once and makes the second wait
        seconds = time.monotonic() - started
        return answers, seconds, h.api.get(url(disk))["stats"], io(h, disk, "read", 0, 65536, count=8)


def test_deadline(tmp_path):
    """A write that takes 44 s ends after 30 s with an error and a reset, and the drive works on. (QEMU stands still in some resets until
    it is done; so a machine for each drive.)"""
    paths = [tmp_path / str(i) for i in range(len(KINDS))]
    for path in paths:
        path.mkdir()
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(overdue, paths, KINDS))
    for disk, ((first, second), seconds, stats, after) in zip(KINDS, results):
        assert first["ok"] == 1 and second["io_error"] == 1, (disk, first, second, seconds)
        assert 29 < seconds < 60, (disk, seconds)
        assert stats["timeouts"] == 1 and stats["resets"] == 1 and stats["in_flight"] == 0, (disk, stats)
        all_ok(after, 8)


def plain(i, path):
    return drive(path, f"d{i}")


EJECT, SELECT = 0xae08, 0xae10  # of the chipset's hot-plug registers; the firmware of a guest would write to them


def test_removal(tmp_path):
    """Drives that are pulled out: what is asked of them then says so, the others go on."""
    with faulty(tmp_path, plain) as h:
        h.ready()
        disks = wait_disks(h, len(KINDS))
        left = list(disks)
        for disk in disks:
            all_ok(io(h, disk, "write", 0, 65536, count=8, seed=9), 8)
            h.monitor(f"o /4 {SELECT:#x} 0")
            h.monitor(f"o /4 {EJECT:#x} {1 << int(disk.split(':')[1][:2], 16):#x}")
            answer = io(h, disk, "read", 0, 65536, count=8)
            assert answer["gone"] == 8, (disk, answer)
            left.remove(disk)
            assert h.api.get(url(disk))["state"] == "gone"
            assert io(h, disk, "flush")["gone"] == 1
            for other in left:
                all_ok(io(h, other, "read", 0, 65536, count=8), 8)
        assert {d["state"] for d in h.api.get("/v1/disks")["items"]} == {"gone"}
        assert "ended" not in h.serial.text


def test_read_only_and_resize(tmp_path):
    """virtio-blk: the other kinds are never read-only in QEMU, and do not tell of a change of size."""
    disks = {"virtio@00:04.0": ["virtio-blk-pci,drive=d0,addr=4,id=v0"], "virtio@00:05.0": ["virtio-blk-pci,drive=d1,addr=5,id=v1"]}
    with faulty(tmp_path, lambda i, path: drive(path, f"d{i}", options="readonly=on" if i == 0 else "discard=unmap"), disks=disks) as h:
        h.ready()
        shown = wait_disks(h, 2)
        assert shown["virtio@00:04.0"]["read_only"] and not shown["virtio@00:05.0"]["read_only"]
        all_ok(io(h, "virtio@00:04.0", "read", 0, 65536))
        for op in ("write", "zeroes", "discard"):
            assert io(h, "virtio@00:04.0", op, 0, 4096)["unsupported"] == 1
        assert io(h, "virtio@00:05.0", "write", SIZE, 4096)["range"] == 1
        h.monitor(f"block_resize d1 {2 * SIZE}B")
        h.serial.wait(r"virtio@00:05\.0: now 128 MiB", 10)
        all_ok(io(h, "virtio@00:05.0", "write", 2 * SIZE - 4096, 4096))
        h.monitor(f"block_resize d1 {SIZE}B")
        h.serial.wait(r"virtio@00:05\.0: now 64 MiB", 10)
        assert io(h, "virtio@00:05.0", "read", 2 * SIZE - 4096, 4096)["range"] == 1


def test_flushes_arrive(tmp_path):
    """What QEMU counts, or traces where it does not count: a flush is one, and a write with FUA is one on drives that have no FUA."""
    with faulty(tmp_path, plain) as h:
        h.ready()

        h.monitor("trace-event pci_nvme_flush_ns on")

        def count(i):
            if i == 1:
                return (h.dir / "stderr").read_text().count("pci_nvme_flush_ns")
            return int(re.search(rf"^d{i}: .*\bflush_operations=(\d+)", h.monitor("info blockstats"), re.M)[1])

        for i, disk in enumerate(KINDS):
            wait_disks(h, len(KINDS))
            before = count(i)
            all_ok(io(h, disk, "write", 0, 65536, count=8), 8)
            assert count(i) == before
            all_ok(io(h, disk, "flush"))
            assert count(i) == before + 1
            all_ok(io(h, disk, "write", 0, MIB, fua=True))
            assert count(i) == before + (1 if disk.startswith("nvme") else 2)


def test_no_drives():
    """Q35's own controller has nothing on it: nothing is waited for, nothing is shown."""
    with Host(options=OPTIONS, mem=256, machine="q35", extra=["-nodefaults"], limit=60) as h:
        h.ready()
        deadline = time.monotonic() + 10
        while not h.api.get("/v1/disks")["settled"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert h.api.get("/v1/disks")["items"] == []
        assert "socle_disk" not in h.api.raw("GET", "/metrics")[2].decode()


def test_after_the_firmware(tmp_path):
    """The firmware has used the controllers and left them running: from a CD on the AHCI controller that also has the disk."""
    extra = ["-drive", f"file={BUILD / 'socle.iso'},if=none,id=cd,format=raw,readonly=on", "-boot", "d"]
    extra += devices("ide-cd,drive=cd,bus=ide.1,bootindex=0", "ide-hd,drive=d0,bus=ide.0,bootindex=1", "nvme,drive=d1,serial=x,addr=6,bootindex=2",
                     "virtio-blk-pci,drive=d2,addr=7,bootindex=3")
    for i in range(3):
        extra = drive(tmp_path / f"disk{i}", f"d{i}") + extra
    with Host(mem=256, machine="q35", nic="e1000,addr=3", boot={"args": extra}, limit=100) as h:
        for disk in (r"ahci@00:1f\.2/0", r"nvme@00:06\.0/1", r"virtio@00:07\.0"):
            h.serial.wait(rf"disk: {disk}: .*64 MiB, sectors of 512 bytes", 60)
        assert "stays off" not in h.serial.text
