# SPDX-License-Identifier: BSD-2-Clause
"""Disks of guests: images, volumes in memory and on drives, media that change; under Debian's driver and under a guest that checks every block, while
programs die, the guest is reset, and its VM is saved (docs/devices.md, docs/restart.md)."""
import hashlib
import http.client
import json
import random
import re
import threading
import time

import pytest
from host import BUILD, INITRD, KERNEL, Host, Problem, config_file, modules
from test_disks import EJECT, SELECT
from test_save import act
from test_virtio import Shell

OPTIONS = "ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 test.hooks=1"
LINUX = {"name": "g", "vcpus": 2, "memory": "128MiB", "boot": {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=ttyS0 quiet"}}
CHECKER = {"name": "c", "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "checker"}}
VOLUME = {"pool": "ram", "volume": "v"}
MIB = 1 << 20


def volume(h, name="v", size=4 * MIB, pool="ram"):
    h.api.post(f"/v1/pools/{pool}/volumes", {"name": name, "bytes": size})


@pytest.fixture(scope="module")
def machine():
    with Host(options=OPTIONS, mem=1024, smp=2, limit=1200) as h:
        h.ready()
        h.api.upload("checker", BUILD / "guests" / "disk")
        h.api.upload("vmlinuz", KERNEL)
        h.api.upload("initrd", INITRD)
        yield h
        print(h.serial.text[-4000:])


@pytest.fixture
def h(machine):
    """With a volume "v" in memory; each test leaves none of its VMs, and nothing of theirs in hv."""
    volume(machine)
    objects = machine.api.get("/v1/host")["objects"]
    yield machine
    machine.api.remove_vms()
    assert machine.api.get("/v1/host")["objects"] == objects
    machine.api.delete("/v1/pools/ram/volumes/v")


def rounds(h, vm="c", since=0):
    return max([-1] + [int(r) for r in re.findall(r"round (\d+),", h.api.console(vm, since)[0].decode())])


def goes_on(h, vm="c", n=2):
    """n more reports of a guest that stops at the first block that is not what it should be."""
    for _ in range(n):
        position = h.api.console(vm)[1]
        try:
            h.api.wait_console(vm, "round ", 60, since=position)
        finally:
            assert "FAILED" not in h.api.console(vm)[0].decode(), h.api.console(vm)[0].decode()[-500:]


def start_checker(h, disk=None, **changes):
    h.api.post("/v1/vms", {**CHECKER, "disks": [disk or VOLUME], **changes})
    h.api.post("/v1/vms/c/actions/start")
    h.api.wait_console("c", "round 0,", 60)


def disks(h, vm="g"):
    return {d["id"]: d for d in h.api.get(f"/v1/vms/{vm}/stats")["disks"]}


def test_linux(h):
    """Found with serial number, size and access; a file system lives through a reset; no request stops a vCPU; media come and go."""
    data = random.Random(1).randbytes(MIB + 100)
    h.api.upload("data", data)
    whole = data + bytes(-len(data) % 512)
    h.api.post("/v1/vms", {**LINUX, "disks": [{"id": "image", "image": "data", "serial": "SN 1"}, {"id": "v", **VOLUME}, {"id": "cd", "cdrom": True}]})
    h.api.post("/v1/vms/g/actions/start")
    h.api.wait_console("g", "guest userspace up", 90)
    shell = Shell(h)
    assert shell.run("cat /sys/block/vda/serial /sys/block/vda/size /sys/block/vda/ro").split() == ["SN", "1" + str(len(whole) // 512), "1"]
    assert shell.run("cat /sys/block/vdb/size /sys/block/vdb/ro /sys/block/vdc/size; ls /sys/block/vdb/mq").split() == [str(4 * MIB // 512), "0", "0", "0", "1"]
    assert hashlib.md5(whole).hexdigest() in shell.run("md5sum /dev/vda")
    assert "1+0 records out" not in shell.run("dd if=/dev/zero of=/dev/vda bs=512 count=1 2>&1")
    before, parks = disks(h)["v"], h.api.get("/v1/vms/g/stats")["parks"]
    shell.run("dd if=/dev/vdb of=/dev/null bs=4k iflag=direct 2>/dev/null; dd if=/dev/urandom of=/tmp/r bs=64k count=32 2>/dev/null")
    shell.run("mke2fs /dev/vdb >/dev/null; mkdir -p /m; mount -t ext4 /dev/vdb /m; cp /tmp/r /m/file; sync; fstrim /m")
    after = disks(h)["v"]
    assert h.api.get("/v1/vms/g/stats")["parks"] == parks, "requests park the vCPU"
    assert after["reads"] - before["reads"] >= 1024 and after["read_bytes"] - before["read_bytes"] >= 4 * MIB
    assert after["written_bytes"] >= 2 * MIB and after["discards"] > 0 and after["errors"] == 0 and after["in_flight"] == 0
    wanted = shell.run("umount /m; md5sum </tmp/r").split()[0]
    position = h.api.console("g")[1]
    h.api.post("/v1/vms/g/actions/reset")
    h.api.wait_console("g", "guest userspace up", 90, since=position)
    assert wanted in shell.run("mkdir /m; mount -t ext4 /dev/vdb /m; md5sum </m/file; umount /m")
    change_media(h, shell, whole)
    metrics = h.api.raw("GET", "/metrics")[2].decode()
    assert re.search(r'socle_vm_disk_reads_total\{vm="g",disk="v"\} [1-9]', metrics), metrics[-2000:]
    h.api.post("/v1/vms/g/actions/stop")
    h.api.delete("/v1/images/data")


def put_cd(h, image, cd="cd"):
    status, _, body = h.api.raw("PUT", f"/v1/vms/g/cdrom/{cd}", json.dumps({"image": image}), {"Content-Type": "application/json"})
    return status, json.loads(body)["code"] if body else None


def change_media(h, shell, whole):
    assert put_cd(h, "nothing") == (404, "no_image")
    assert put_cd(h, "data", "v") == (409, "wrong_state") and put_cd(h, "data", "x") == (404, "no_disk")
    assert put_cd(h, "") == (400, "invalid_argument")
    for _ in range(2):
        assert put_cd(h, "data") == (204, None)
        assert h.api.get("/v1/vms/g")["disks"][2]["image"] == "data"
        time.sleep(0.3)
        assert hashlib.md5(whole).hexdigest() in shell.run("md5sum /dev/vdc")
        assert put_cd(h, None) == (204, None)
        assert "image" not in h.api.get("/v1/vms/g")["disks"][2]
        time.sleep(0.3)
        assert shell.run("cat /sys/block/vdc/size").strip() == "0"


def test_resize(h):
    """A volume that grows under a guest."""
    h.api.post("/v1/vms", {**LINUX, "disks": [VOLUME]})
    h.api.post("/v1/vms/g/actions/start")
    h.api.wait_console("g", "guest userspace up", 90)
    shell = Shell(h)
    assert shell.run("cat /sys/block/vda/size").strip() == str(4 * MIB // 512)
    h.api.call("PATCH", "/v1/pools/ram/volumes/v", {"bytes": 6 * MIB})
    time.sleep(0.3)
    assert shell.run("cat /sys/block/vda/size").strip() == str(6 * MIB // 512)
    shell.run("dd if=/dev/urandom of=/tmp/r bs=64k count=1 2>/dev/null; dd if=/tmp/r of=/dev/vda bs=64k seek=95 oflag=direct 2>/dev/null")
    sums = shell.run("md5sum </tmp/r; dd if=/dev/vda bs=64k skip=95 iflag=direct 2>/dev/null | md5sum").split()
    assert sums[0] == sums[2], sums


def test_refusals(h):
    """What is not there, what another VM writes to, what cannot be."""
    def refused(vm, field, status, text):
        with pytest.raises(Problem) as e:
            h.api.post(f"/v1/vms/{vm}/actions/start")
        assert e.value.status == status and e.value.body["errors"][0]["pointer"] == field and text in e.value.body["detail"], e.value.body
    for name, disk in (("a", VOLUME), ("b", VOLUME), ("p", {"pool": "ram", "volume": "x"}), ("q", {"pool": "none", "volume": "x"}), ("i", {"image": "gone"})):
        h.api.post("/v1/vms", {**CHECKER, "name": name, "disks": [disk]})
    h.api.post("/v1/vms/a/actions/start")
    refused("b", "/disks/0/volume", 409, '"a"')
    refused("p", "/disks/0/volume", 404, "x")
    refused("q", "/disks/0/pool", 404, "none")
    refused("i", "/disks/0/image", 409, "gone")
    with pytest.raises(Problem) as e:
        h.api.delete("/v1/pools/ram/volumes/v")
    assert e.value.status == 409
    h.api.post("/v1/vms/a/actions/stop")
    h.api.post("/v1/vms/b/actions/start")
    h.api.wait_console("b", "round 0,", 60)


def test_limits(h):
    """A limit holds, and requests that wait for it neither keep a guest from being reset nor its VM from being stopped."""
    start = time.monotonic()
    with pytest.raises(Problem) as e:
        h.api.post("/v1/vms", {**CHECKER, "disks": [{**VOLUME, "limits": {"ops_per_s": 100, "burst_ms": 60001}}]})
    assert "burst_ms" in str(e.value.body)
    vm = h.api.post("/v1/vms", {**CHECKER, "disks": [{**VOLUME, "limits": {"ops_per_s": 100}}]})
    assert vm["disks"][0]["limits"] == {"bytes_per_s": 0, "ops_per_s": 100, "burst_ms": 1000}
    h.api.post("/v1/vms/c/actions/start")
    time.sleep(4)
    s = disks(h, "c")["disk0"]
    done, passed = s["reads"] + s["writes"] + s["flushes"], time.monotonic() - start
    assert 300 <= done <= 100 * (passed + 1) + 1, (done, passed)
    for _ in range(3):
        h.api.post("/v1/vms/c/actions/reset")
    h.api.post("/v1/vms/c/actions/stop")


def test_resets(h):
    """In the middle of requests: nothing of before lands in the guest that boots."""
    start_checker(h)
    for _ in range(12):
        time.sleep(random.uniform(0, 0.2))
        position = h.api.console("c")[1]
        h.api.post("/v1/vms/c/actions/reset")
        h.api.wait_console("c", "round 0,", 60, since=position)
        assert "FAILED" not in h.api.console("c")[0].decode()
    goes_on(h)


def test_saved(h):
    """With requests under way; what was not done is done after the restore. The volume is not in the file."""
    start_checker(h)
    for n in range(6):
        goes_on(h, n=1)
        act(h, "c", "save", "state")
        act(h, "c", "restore", "state")
        h.api.delete("/v1/images/state")
        goes_on(h, n=1)
        act(h, "c", "checkpoint", "state")
        h.api.delete("/v1/images/state")
    goes_on(h)


LOST = (OSError, http.client.HTTPException)


def until(fn, seconds=60):
    """Asked again while control kernels end."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return fn()
        except LOST:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def there(h, path, make):
    """Made once, whatever becomes of the answers."""
    def once():
        if h.api.raw("GET", path)[0] != 200:
            make()
    until(once)


def run_checker(h, pool="ram"):
    there(h, "/v1/images/checker", lambda: h.api.upload("checker", BUILD / "guests" / "disk"))
    there(h, f"/v1/pools/{pool}/volumes/v", lambda: volume(h, pool=pool))
    there(h, "/v1/vms/c", lambda: h.api.post("/v1/vms", {**CHECKER, "disks": [{"pool": pool, "volume": "v"}]}))

    def started():
        if h.api.get("/v1/vms/c")["state"] != "running":
            h.api.post("/v1/vms/c/actions/start")
    until(started)


def programs_die(h, n, seconds):
    """-> how many vmm programs ended. All blocks are right, and no request has failed."""
    h.serial.wait(rf"instance {n + 1} of the control kernel is started[\s\S]*management ready.*\n", seconds)
    h.api.timeout = 10
    vm = until(lambda: h.api.get("/v1/vms/c"))
    assert vm["state"] == "running", (vm["reason"], vm["start_error"])
    goes_on(h)
    s = disks(h, "c")["disk0"]
    print(h.api.console("c")[0].decode()[-200:], s)
    assert s["errors"] == 0 and s["reads"] > 0
    return len(re.findall(r"a vmm \(program", h.serial.text))


def test_programs_die():
    """Its vmm, the control kernel, or both, at random moments while every block is written, read and compared."""
    n = 30
    with Host(options=f"{OPTIONS} test.soak={n} test.soak_ms=1000", mem=512, smp=2, nic="virtio-net-pci", limit=300) as h:
        h.ready()
        h.api.timeout = 1
        run_checker(h)
        assert programs_die(h, n, 200) > 3
        assert "no longer managed" not in h.serial.text


SOAK = 160


def test_soak(tmp_path):
    """160 control kernels, and vmm programs beside them, end within milliseconds under a guest that reads and compares."""
    vm = {**CHECKER, "disks": [{"image": "blocks"}], "autostart": True}
    (tmp_path / "blocks").write_bytes(random.Random(3).randbytes(2 * MIB))
    files = modules((BUILD / "guests" / "disk", "checker"), (tmp_path / "blocks", "blocks"), (config_file(tmp_path, [vm]), "socle.json"))
    with Host(options=f"{OPTIONS} test.soak={SOAK}", mem=512, modules=files, limit=300) as h:
        assert programs_die(h, SOAK, 250) > SOAK // 20


DRIVES = {
    "nvme": (15, ["nvme,drive=d0,serial=s0,addr=6"]),
    "nvme-4k": (4, ["nvme,drive=d0,serial=s0,addr=6,logical_block_size=4096,physical_block_size=4096"]),
    "ahci": (8, ["ich9-ahci,id=sata,addr=6", "ide-hd,drive=d0,bus=sata.0"]),
    "virtio": (8, ["virtio-blk-pci,drive=d0,addr=6"]),
    "virtio-4k": (4, ["virtio-blk-pci,drive=d0,addr=6,logical_block_size=4096,physical_block_size=4096"]),
}


def wait_drive(h):
    h.ready()
    deadline = time.monotonic() + 20
    while True:
        answer = until(lambda: h.api.get("/v1/disks"))
        if answer["settled"] and answer["items"]:
            return [d["name"] for d in answer["items"]]
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)


@pytest.mark.parametrize("kind", DRIVES)
def test_drive(tmp_path, kind):
    """A volume of a group on a drive: blocks are checked while programs die; requests wait until the new control kernel has the drive again. Then
    a new machine finds what was written."""
    drive, (n, device) = tmp_path / "drive", DRIVES[kind]
    with drive.open("wb") as f:
        f.truncate(64 * MIB)
    extra = ["-drive", f"file={drive},format=raw,if=none,id=d0", *(a for d in device for a in ("-device", d))]
    with Host(options=OPTIONS, mem=512, smp=2, extra=extra, limit=60) as h:
        h.api.post("/v1/pools", {"name": "vg", "disks": wait_drive(h)})
    with Host(options=f"{OPTIONS} test.soak={n} test.soak_ms=2000", mem=512, smp=2, nic="virtio-net-pci,addr=8", extra=extra, limit=300) as h:
        h.api.timeout = 2
        wait_drive(h)
        run_checker(h, "vg")
        programs_die(h, n, 200)
        h.api.post("/v1/vms/c/actions/stop")
        content = h.api.raw("GET", "/v1/pools/vg/volumes/v/content")[2]
        assert len(content) == 4 * MIB and content.count(b"\0") < len(content) // 8
    with Host(options=OPTIONS, mem=512, extra=extra, limit=200) as h:
        wait_drive(h)
        assert h.api.raw("GET", "/v1/pools/vg/volumes/v/content")[2] == content


def watch_stop(h, seen):
    """What is said of the VM while it is being stopped."""
    while not seen or seen[-1][0] == "running":
        vm, other = h.api.get("/v1/vms/c"), h.api.raw("PATCH", "/v1/vms/c", '{"weight": 7}', {"Content-Type": "application/json"})
        seen.append((vm["state"], vm["pending"], json.loads(other[2]).get("code")))


@pytest.mark.parametrize("kind", ("nvme", "ahci", "virtio"))
def test_stop_waits(tmp_path, kind):
    """A drive that takes 20 writes a second: a VM is stopped when what its guest has under way there has ended, and not before."""
    drive, device = tmp_path / "drive", DRIVES[kind][1]
    with drive.open("wb") as f:
        f.truncate(64 * MIB)
    extra = ["-drive", f"file={drive},format=raw,if=none,id=d0", *(a for d in device for a in ("-device", d))]
    with Host(options=OPTIONS, mem=512, extra=extra, limit=60) as h:
        h.api.post("/v1/pools", {"name": "vg", "disks": wait_drive(h), "extent_bytes": 65536})
        volume(h, pool="vg", size=256 * 1024)
    extra[1] += ",throttling.iops-write=20"
    with Host(options=OPTIONS, mem=512, smp=2, extra=extra, limit=150) as h:
        wait_drive(h)
        h.api.upload("checker", BUILD / "guests" / "disk")
        h.api.post("/v1/vms", {**CHECKER, "disks": [{"pool": "vg", "volume": "v"}]})
        for _ in range(2):
            h.api.post("/v1/vms/c/actions/start")
            deadline = time.monotonic() + 30
            while disks(h, "c")["disk0"]["in_flight"] < 10:
                assert time.monotonic() < deadline
            seen = []
            thread = threading.Thread(target=watch_stop, args=(h, seen))
            thread.start()
            vm = h.api.post("/v1/vms/c/actions/stop")
            at_stop = drive.read_bytes()
            assert (vm["state"], vm["pending"]) == ("stopped", None)
            thread.join()
            assert ("running", "stop", "busy") in seen
            assert h.api.get("/v1/disks")["items"][0]["stats"]["in_flight"] == 0
            assert not h.api.get("/v1/pools/vg/volumes/v")["in_use"]
            time.sleep(0.5)
            assert h.api.raw("GET", "/v1/pools/vg/volumes/v/content")[2] in at_stop


BAD = 2 * MIB  # of the volume "v"
FAULTY = {
    "nvme": ["nvme,drive=d0,serial=s0,addr=6"],
    "ahci": ["ich9-ahci,id=sata,addr=6", "ide-hd,drive=d0,bus=sata.0"],
    "virtio": ["virtio-blk-pci,drive=d0,addr=6,request-merging=off"],
}


@pytest.mark.parametrize("kind", FAULTY)
def test_bad_sector(tmp_path, kind):
    """A sector of the drive cannot be read or written: the guest's driver gets an I/O error for what touches it and for nothing else, also after
    the drive's resets and with another control kernel. Then the drive is pulled out: errors, and a guest that runs on."""
    drive = tmp_path / "drive"
    with drive.open("wb") as f:
        f.truncate(64 * MIB)
    plain = ["-drive", f"file={drive},format=raw,if=none,id=d0", *(a for d in FAULTY[kind] for a in ("-device", d))]
    with Host(options=OPTIONS, mem=512, extra=plain, limit=60) as h:
        h.api.post("/v1/pools", {"name": "vg", "disks": wait_drive(h)})
        volume(h, pool="vg", size=8 * MIB)
    before = drive.read_bytes()
    with Host(options=OPTIONS, mem=512, extra=plain, limit=60) as h:  # where does it lie?
        wait_drive(h)
        mark = random.Random(5).randbytes(512)
        h.api.raw("PUT", "/v1/pools/vg/volumes/v/content", mark, {"Content-Range": f"bytes {BAD}-{BAD + 511}/{8 * MIB}"})
        at = drive.read_bytes().index(mark)
    assert before[at:at + 512] != mark
    errors = ",".join(f"inject-error.{i}.event=none,inject-error.{i}.iotype={t},inject-error.{i}.sector={at // 512}" for i, t in enumerate(("read", "write")))
    faulty = ["-blockdev", f"driver=file,filename={drive},node-name=f0", "-blockdev", f"driver=blkdebug,image=f0,node-name=d0,{errors}", *plain[2:]]
    with Host(options=OPTIONS, mem=512, nic="virtio-net-pci,addr=8", extra=faulty, limit=250) as h:
        wait_drive(h)
        h.api.upload_linux()
        h.api.post("/v1/vms", {**LINUX, "disks": [{"pool": "vg", "volume": "v"}]})
        h.api.post("/v1/vms/g/actions/start")
        h.api.wait_console("g", "guest userspace up", 90)
        shell = Shell(h)
        bad = BAD // 4096
        for instance in (2, 3):
            out = shell.run(f"dd if=/dev/vda of=/dev/null bs=4k iflag=direct skip={bad} count=1 2>&1; dd if=/dev/zero of=/dev/vda bs=4k oflag=direct seek={bad} count=1 2>&1")
            assert out.count("I/O error") == 2, out
            out = shell.run(f"dd if=/dev/vda of=/dev/null bs=4k iflag=direct count={bad} 2>&1; dd if=/dev/vda of=/dev/null bs=4k iflag=direct skip={bad + 1} count=200 2>&1; "
                            f"dd if=/dev/zero of=/dev/vda bs=4k oflag=direct seek={bad + 1} count=50 2>&1")
            assert "error" not in out and f"{bad}+0 records out" in out and "200+0 records out" in out and "50+0 records out" in out, out
            errors = disks(h)["disk0"]["errors"]
            assert errors >= 2, errors
            try:
                h.api.post("/v1/host/control/restart")
            except LOST:
                pass
            h.serial.wait(rf"instance {instance} of the control kernel is started[\s\S]*management ready.*\n", 60)
            wait_drive(h)
        h.monitor(f"o /4 {SELECT:#x} 0")
        h.monitor(f"o /4 {EJECT:#x} {1 << 6:#x}")
        assert "I/O error" in shell.run("dd if=/dev/vda of=/dev/null bs=4k iflag=direct count=1 2>&1")
        assert h.api.get("/v1/disks")["items"][0]["state"] == "gone"
        assert "here" in shell.run("echo he're'") and h.api.get("/v1/vms/g")["state"] == "running"
