# SPDX-License-Identifier: BSD-2-Clause
"""Pools and volumes over the API, on drives of three kinds: what Debian's lvm2 says of them, deaths of the control kernel, power cuts."""
import hashlib
import os
import random
import re
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import lvmguest
import pytest
from host import Api, Host, Problem
from test_lvm import pvck
from volumes import DATA, DATA_BYTES, EXTENT, LOST, MIB, Lost, Volumes, Watched, until_read

STATIC = "ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 test.hooks=1"
AHCI = "ahci@00:1f.2/"
# kind -> names of the drives and what QEMU is told
KINDS = {
    "virtio": (["virtio@00:04.0", "virtio@00:05.0"], "pc", ["virtio-blk-pci,drive=d0,addr=4", "virtio-blk-pci,drive=d1,addr=5"]),
    "nvme": (["nvme@00:04.0/1", "nvme@00:05.0/1"], "pc", ["nvme,drive=d0,addr=4,serial=a", "nvme,drive=d1,addr=5,serial=b"]),
    "ahci": ([AHCI + "0", AHCI + "1"], "q35", ["ide-hd,drive=d0,bus=ide.0", "ide-hd,drive=d1,bus=ide.1"]),
}


def files(folder, count=2, mib=64):
    out = []
    for n in range(count):
        out.append(Path(folder) / f"disk{n}")
        with out[-1].open("wb") as f:
            f.truncate(mib * MIB)
    return out


def machine(kind, disks, options=STATIC, more=(), **host):
    """More disks than two are virtio-blk, from slot 8 on."""
    _, board, devices = KINDS[kind]
    devices = list(devices) + [f"virtio-blk-pci,drive=d{n},addr={n + 6}" for n in range(2, len(disks))]
    extra = [a for n, d in enumerate(disks) for a in ("-drive", f"if=none,id=d{n},file={d},format=raw")]
    extra += [a for d in devices for a in ("-device", d)]
    return Host(options=options, mem=256, nic="virtio-net-pci,addr=3", machine=board, extra=[*extra, *more], **host)


@pytest.fixture
def folder(tmp_path):
    """For the drives' files: in memory, so that flushes cost nothing."""
    shm = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="socle-", dir=shm)) if shm.is_dir() else tmp_path
    yield path
    for f in path.iterdir() if path != tmp_path else ():
        f.unlink()
    if path != tmp_path:
        path.rmdir()


def refused(status, code, words, fn):
    with pytest.raises(Problem) as p:
        fn()
    assert (p.value.status, p.value.body["code"]) == (status, code) and words in p.value.body["detail"], p.value


def put(api, path, data, query="", **headers):
    status, _, body = api.raw("PUT", f"{path}/content{query}", data, headers)
    return status, body


def get(api, path, first=None, last=None):
    headers = {} if first is None else {"Range": f"bytes={first}-{last}"}
    status, _, data = api.raw("GET", f"{path}/content", headers=headers)
    assert status == (200 if first is None else 206), data[:300]
    return data


def finished(api, job):
    return api.get(f"/v1/operations/{job['id']}?wait=30")


# ---- one life of a pool ----

def check_contents(api, path, size):
    """Whole, in parts, resumed, with a checksum; too long; what a client sees of a wrong checksum."""
    data = random.Random(1).randbytes(size)
    assert put(api, path, data[:9 * MIB + 77])[0] == 200  # a connection that broke here goes on
    assert put(api, path, data[9 * MIB + 77:], **{"Content-Range": f"bytes {9 * MIB + 77}-{size - 1}/{size}"})[0] == 200
    assert get(api, path) == data
    for first, last in ((0, 0), (511, 512), (4095, 70000), (size - 1, size - 1), (MIB + 3, 5 * MIB)):
        assert get(api, path, first, last) == data[first:last + 1]
    part = bytes(3000)
    assert put(api, path, part, f"?sha256={hashlib.sha256(part).hexdigest()}", **{"Content-Range": "bytes 1001-4000/*"})[0] == 200
    data = data[:1001] + part + data[4001:]
    assert get(api, path, 0, 8191) == data[:8192]
    status, body = put(api, path, data[:5000], f"?sha256={'0' * 64}")
    assert status == 422 and b"checksum_mismatch" in body
    assert put(api, path, iter([data[:100], data[100:5000]]))[0] == 200  # chunked
    assert put(api, path, bytes(size + 1))[0] == 413
    assert put(api, path, b"x", **{"Content-Range": "bytes 5-9/*"})[0] == 400
    assert api.raw("GET", f"{path}/content", headers={"Range": f"bytes={size}-"})[0] == 416
    return data


def check_jobs(h, pool, data):
    api = h.api
    done = finished(api, api.post(f"{pool}/volumes/v/actions/clone", {"name": "copy"}))
    assert done["state"] == "succeeded" and (done["pool"], done["volume"], done["to"]) == (pool.rsplit("/", 1)[1], "v", "copy"), done
    assert get(api, f"{pool}/volumes/copy") == data
    refused(409, "exists", "copy", lambda: api.post(f"{pool}/volumes/v/actions/clone", {"name": "copy"}))
    gone = finished(api, api.delete(f"{pool}/volumes/copy?zero=true"))
    assert gone["state"] == "succeeded", gone
    job = api.post(f"{pool}/volumes/v/actions/clone", {"name": "half"})
    try:
        state = api.delete(f"/v1/operations/{job['id']}")["state"]
    except Problem as p:  # it was too late
        assert p.status == 409, p
        state = finished(api, job)["state"]
    api.post("/v1/pools/actions/scan")  # comes behind what the operation has begun: its volume is there now, and goes again
    until = time.monotonic() + 20
    while state == "cancelled" and len(api.get(f"{pool}/volumes")["items"]) > 1 and time.monotonic() < until:
        time.sleep(0.02)
    names = [v["name"] for v in api.get(f"{pool}/volumes")["items"]]
    assert names == (["v"] if state == "cancelled" else ["v", "half"]), h.serial.text[-2000:]
    if "half" in names:
        api.delete(f"{pool}/volumes/half")


@pytest.mark.parametrize("kind", KINDS)
def test_life(kind, folder):
    """From two empty drives to two empty drives; pvck looks at them on the way."""
    disks, names = files(folder), KINDS[kind][0]
    with machine(kind, disks) as h:
        h.ready()
        api, pool, v = h.api, "/v1/pools/p", "/v1/pools/p/volumes/v"
        made = api.post("/v1/pools", {"name": "p", "disks": names[:1]})
        assert (made["kind"], made["state"], made["seqno"], made["disks"][0]["name"]) == ("lvm", "ok", 1, names[0])
        refused(409, "busy", "belongs to pool p", lambda: api.post("/v1/pools", {"name": "q", "disks": names[:1], "force": True}))
        assert api.post(f"{pool}/volumes", {"name": "v", "bytes": "18MiB"})["bytes"] == 20 * MIB
        refused(409, "no_space", "free", lambda: api.post(f"{pool}/volumes", {"name": "big", "bytes": "48MiB"}))
        api.post(f"{pool}/actions/extend", {"disk": names[1]})
        api.post(f"{pool}/volumes", {"name": "big", "bytes": "60MiB"})
        api.delete(f"{pool}/volumes/big")
        data = check_contents(api, v, 20 * MIB)
        assert api.call("PATCH", v, {"bytes": 24 * MIB})["bytes"] == 24 * MIB
        assert get(api, v, 0, 20 * MIB - 1) == data
        refused(409, "wrong_state", "force", lambda: api.call("PATCH", v, {"bytes": 4 * MIB}))
        assert api.call("PATCH", v, {"bytes": 4 * MIB, "force": True})["bytes"] == 4 * MIB
        api.call("PATCH", v, {"name": "w"})
        api.call("PATCH", f"{pool}/volumes/w", {"name": "v"})
        check_jobs(h, pool, data[:4 * MIB])
        assert 'socle_pool_free_bytes{pool="p"}' in api.raw("GET", "/metrics")[2].decode()
        assert re.search(r'socle_volume_written_bytes_total\{pool="p",volume="v"\} [1-9]', api.raw("GET", "/metrics")[2].decode())
        for d in disks:
            pvck(d, "headers")
        assert 'v {' in pvck(disks[0], "metadata")
        refused(409, "wrong_state", "1 volumes", lambda: api.delete(pool))
        api.delete(f"{pool}?force=true")
        assert [p["name"] for p in api.get("/v1/pools")["items"]] == ["ram"]
        api.post("/v1/pools", {"name": "again", "disks": names, "metadata_copies": 2})


def test_ram(folder):
    """Volumes in memory: as others, and they outlive the control kernel."""
    with machine("virtio", files(folder)) as h:
        h.ready()
        api, v = h.api, "/v1/pools/ram/volumes/v"
        before = api.get("/v1/host")
        assert api.post("/v1/pools/ram/volumes", {"name": "v", "bytes": 20 * MIB})["kind"] == "memory"
        data = check_contents(api, v, 20 * MIB)
        api.call("PATCH", v, {"bytes": 24 * MIB})
        refused(409, "unsupported", "smaller", lambda: api.call("PATCH", v, {"bytes": MIB, "force": True}))
        refused(409, "no_space", "spare", lambda: api.post("/v1/pools/ram/volumes", {"name": "w", "bytes": 1 << 40}))
        assert finished(api, api.post(f"{v}/actions/clone", {"name": "w"}))["state"] == "succeeded"
        api.post("/v1/host/control/restart")
        h.serial.wait(r"instance 2 of the control kernel is started[\s\S]*management ready.*\n", 20)
        until_read(api)
        assert {i["name"]: i["bytes"] for i in api.get("/v1/pools/ram/volumes")["items"]} == {"v": 24 * MIB, "w": 24 * MIB}
        assert get(api, v, 0, 20 * MIB - 1) == data
        assert get(api, "/v1/pools/ram/volumes/w", 0, 20 * MIB - 1) == data
        for name in "vw":
            api.delete(f"/v1/pools/ram/volumes/{name}")
        after = api.get("/v1/host")
        # buffers of uploads stay with the control kernel, 512 KiB for each of them at a time
        assert after["objects"] == before["objects"] and after["memory"]["free"] > before["memory"]["free"] - 3 * MIB


def test_signatures(folder):
    """A disk that carries something is refused with its name, unless force is given."""
    disks = files(folder, 4)
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-b", "4096", disks[0]], check=True, capture_output=True, timeout=60)
    subprocess.run(["/usr/sbin/sgdisk", "-n", "1:2048:+20M", "-n", "2:0:0", "-t", "2:8e00", disks[1]], check=True, capture_output=True, timeout=60)
    subprocess.run(["/usr/sbin/mkswap", disks[2]], check=True, capture_output=True, timeout=60)
    a, b = KINDS["virtio"][0]
    c, d = "virtio@00:08.0", "virtio@00:09.0"
    with machine("virtio", disks) as h:
        h.ready()
        until_read(h.api)
        for disk, what in ((a, "ext4 file system"), (b, "GPT partition table"), (c, "swap")):
            refused(409, "occupied", what, lambda: h.api.post("/v1/pools", {"name": "p", "disks": [d, disk]}))
        h.api.post("/v1/pools", {"name": "p", "disks": [b + "p2"]})
        refused(409, "busy", f"{b}p2 belongs to pool p", lambda: h.api.post("/v1/pools", {"name": "q", "disks": [b], "force": True}))
        refused(409, "occupied", "swap", lambda: h.api.post("/v1/pools/p/actions/extend", {"disk": c}))
        h.api.post("/v1/pools/p/actions/extend", {"disk": c, "force": True})
        h.api.post("/v1/pools", {"name": "q", "disks": [a, d], "force": True})
        h.api.post("/v1/pools/p/volumes", {"name": "v", "bytes": 80 * MIB})
        data = random.Random(2).randbytes(80 * MIB)
        assert put(h.api, "/v1/pools/p/volumes/v", data)[0] == 200
        assert get(h.api, "/v1/pools/p/volumes/v") == data
    table = subprocess.run(["/usr/sbin/sgdisk", "-v", disks[1]], capture_output=True, text=True, timeout=60).stdout
    assert "No problems found" in table, table  # beside a partition nothing was written


# ---- with Debian's lvm2 ----

THEIRS = """
lvm <<X
pvcreate $(disk 0) $(disk 1)
vgcreate deb $(disk 0) $(disk 1)
lvcreate -l 4 -n lin deb
lvcreate -i 2 -l 4 -n str deb
lvcreate --type thin-pool -l 2 -n pool deb
lvcreate -V 32M -T deb/pool -n thin
X
for v in lin str thin; do echo "hello from $v" | dd of=/dev/deb/$v conv=notrunc 2>/dev/null; done
sync
lvm vgchange -an deb
"""
BACK = """
lvm vgck deb; echo vgck $?
lvm vgchange -ay deb
md5sum /dev/deb/ours /dev/deb/str
for v in lin thin; do echo "$v: $(head -n 1 /dev/deb/$v)"; done
lvm lvs --noheadings --units b -o lv_name,lv_size deb
lvm vgs --noheadings -o pv_count deb
"""


def test_debian(folder, tmp_path):
    """A group that Debian's lvm2 made opens, is read, written and changed; Debian finds nothing wrong with it afterwards."""
    disks = files(folder, 3, 48)
    lvmguest.run(THEIRS, disks[:2], tmp_path)
    with machine("nvme", disks) as h:
        h.ready()
        until_read(h.api)
        v = "/v1/pools/deb/volumes"
        shown = {i["name"]: i for i in h.api.get(v)["items"]}
        assert {n: i["state"] for n, i in shown.items()} == {"lin": "ok", "str": "ok", "pool": "refused", "thin": "refused"}
        assert (shown["str"]["kind"], shown["thin"]["kind"]) == ("striped", "thin") and "of type thin" in shown["thin"]["detail"]
        assert get(h.api, f"{v}/lin", 0, 13) == b"hello from lin" and get(h.api, f"{v}/str", 0, 13) == b"hello from str"
        refused(409, "wrong_state", "thin", lambda: h.api.delete(f"{v}/thin"))
        assert h.api.raw("GET", f"{v}/thin/content")[0] == 409
        striped = random.Random(3).randbytes(16 * MIB)
        assert put(h.api, f"{v}/str", striped)[0] == 200
        h.api.post("/v1/pools/deb/actions/extend", {"disk": "virtio@00:08.0"})
        h.api.post(v, {"name": "ours", "bytes": 72 * MIB})
        ours = random.Random(4).randbytes(72 * MIB)
        assert put(h.api, f"{v}/ours", ours)[0] == 200
        h.api.call("PATCH", f"{v}/lin", {"bytes": 20 * MIB})
    out = lvmguest.run(BACK, disks, tmp_path)
    assert "vgck 0" in out and "WARNING" not in out, out
    assert f"{hashlib.md5(ours).hexdigest()}  /dev/deb/ours" in out and f"{hashlib.md5(striped).hexdigest()}  /dev/deb/str" in out, out
    assert "lin: hello from lin" in out and "thin: hello from thin" in out, out
    assert re.search(rf"lin +{20 * MIB}B", out) and re.search(r"^ +3$", out, re.M), out


# ---- deaths and power cuts, with a pool on a drive of each kind ----

ALL = {"pv": "virtio@00:04.0", "pn": "nvme@00:05.0/1", "pa": AHCI + "0"}
DEATHS = 40
CUTS = int(os.environ.get("CUTS", "200"))


def all_kinds(disks, options=STATIC, more=(), **host):
    devices = ["virtio-blk-pci,drive=d0,addr=4", "nvme,drive=d1,addr=5,serial=n", "ide-hd,drive=d2,bus=ide.0"]
    extra = [a for n, d in enumerate(disks) for a in ("-drive", f"if=none,id=d{n},file={d},format=raw")]
    extra += ["-nodefaults", "-vga", "none", *(a for d in devices for a in ("-device", d)), *more]
    return Host(options=options, mem=192, nic="virtio-net-pci,addr=3,romfile=", machine="q35", extra=extra, **host)


def make_pools(folder, rng):
    """-> files, and what is in each pool."""
    disks = files(folder, 3, 32)
    with all_kinds(disks) as h:
        h.ready()
        for pool, disk in ALL.items():
            h.api.post("/v1/pools", {"name": pool, "disks": [disk], "extent_bytes": EXTENT})
            h.api.post(f"/v1/pools/{pool}/volumes", {"name": DATA, "bytes": DATA_BYTES})
            assert put(h.api, f"/v1/pools/{pool}/volumes/{DATA}", bytes(DATA_BYTES))[0] == 200
    return disks, [Volumes(rng, pool) for pool in ALL]


def summary(models):
    kinds = {k: sum(m.kinds.get(k, 0) for m in models) for k in models[0].kinds}
    print(f"{sum(m.acknowledged for m in models)} acknowledged ({kinds}), {sum(m.lost for m in models)} answers lost, "
          f"{sum(m.written for m in models) >> 10} KiB written")


def again(api, models):
    """Until one control kernel lives long enough for a comparison."""
    while True:
        try:
            until_read(api)
            for m in models:
                m.check(api)
            return
        except LOST:
            pass
        except Problem as p:
            assert p.status == 503, p


def some_steps(models, rng, api, end):
    """Some requests, then end() at any moment of those that follow, until one has no answer. It takes as long as this machine needs."""
    times = [0.02]
    for _ in range(rng.randrange(5)):
        start = time.monotonic()
        rng.choice(models).step(api)
        times.append(time.monotonic() - start)
    timer = threading.Timer(rng.uniform(0, 1.5 * sum(times) / len(times)), end)
    timer.start()
    try:
        while True:
            rng.choice(models).step(api)
    except Lost:
        timer.join()


def serves(h, instance):
    """Before, a connection is not answered, and tried again only after seconds."""
    h.serial.wait(rf"instance {instance} of the control kernel is started[\s\S]*management ready.*\n", 30)


ENDS = ["restart", "test-abort", "test-fault", "test-heap"]


def test_control_dies(folder):
    """In the middle of uploads, copies and changes of metadata; what was acknowledged is there, the groups are sound."""
    rng = random.Random(7)
    disks, models = make_pools(folder, rng)

    def end(h):
        try:
            Api(h.port, 5).post(f"/v1/host/control/{rng.choice(ENDS)}")
        except LOST:
            pass

    # With test.soak the hypervisor does not count how many die.
    with all_kinds(disks, f"{STATIC} test.soak=1 test.soak_ms=1", limit=300) as h:
        serves(h, 2)
        for n in range(2, DEATHS + 2):
            again(Api(h.port, 5), models)
            some_steps(models, rng, Watched(h), lambda: end(h))
            serves(h, n + 1)
        again(Api(h.port, 10), models)
        failed = [j for j in h.api.get("/v1/operations")["items"] if j["state"] == "failed"]
        assert all("restarted meanwhile" in j["error"]["detail"] for j in failed), failed
    summary(models)
    assert sum(m.acknowledged for m in models) > DEATHS and sum(m.lost for m in models) >= DEATHS
    for d in disks:
        pvck(d, "headers")


def power(disks, models, rng, pidfile):
    """One boot: what is there is compared, then changed until QEMU is gone."""
    with all_kinds(disks, more=["-pidfile", str(pidfile)], limit=60) as h:
        h.ready()
        api = Watched(h)
        until_read(api)
        for m in models:
            m.check(api)
        pid = int(pidfile.read_text())
        some_steps(models, rng, api, lambda: os.kill(pid, signal.SIGKILL))


def test_power_cuts(folder):
    """QEMU is killed at any moment. What it had taken from the control kernel is in the host's cache, so no write is undone by this; that is
    tests/unit/test_pools.c's matter. What is cut short is everything under way."""
    rng = random.Random(11)
    disks, models = make_pools(folder, rng)
    for n in range(CUTS):
        power(disks, models, rng, folder / "pid")
        for d in disks if n % 20 == 0 else ():
            pvck(d, "headers")
    with all_kinds(disks) as h:
        h.ready()
        again(h.api, models)
    summary(models)
    assert min(m.checks for m in models) == CUTS + 1 and sum(m.lost for m in models) == CUTS
    assert sum(m.acknowledged for m in models) > 2 * CUTS
