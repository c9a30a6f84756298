# SPDX-License-Identifier: BSD-2-Clause
"""Disks and NICs come into running VMs and go: by the guest's leave, without it, and through deaths of programs (docs/devices.md, docs/api.md)."""
import json
import random
import time

import pytest
from host import BUILD, Host, Problem
from netguests import Guest
from test_guest_net import wait_instance

OPTIONS = "ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 test.hooks=1"
MIB = 1 << 20


@pytest.fixture(scope="module")
def machine():
    with Host(options=OPTIONS, mem=768, limit=900) as h:
        h.ready()
        h.api.upload_linux()
        h.api.upload("checker", BUILD / "guests" / "disk")
        h.api.post("/v1/networks", {"name": "lan"})
        for name in "vwx":
            h.api.post("/v1/pools/ram/volumes", {"name": name, "bytes": 4 * MIB})
        yield h
        print(h.serial.text[-4000:])


@pytest.fixture
def h(machine):
    """Each test leaves none of its VMs, and nothing of theirs in hv."""
    objects = machine.api.get("/v1/host")["objects"]
    yield machine
    machine.api.remove_vms()
    assert machine.api.get("/v1/host")["objects"] == objects


def plug(h, vm, kind, device):
    return h.api.post(f"/v1/vms/{vm}/{kind}", device)


def ended(h, job, seconds=40):
    deadline = time.monotonic() + seconds
    while job["state"] == "running" and time.monotonic() < deadline:
        job = h.api.get(f"/v1/operations/{job['id']}?wait=10")
    return job


def unplug(h, vm, kind, device, query=""):
    job = ended(h, h.api.delete(f"/v1/vms/{vm}/{kind}/{device}{query}"))
    assert job["state"] == "succeeded" and job["kind"] == "unplug" and job["device"] == device, job


def ids(h, vm, kind):
    return [d["id"] for d in h.api.get(f"/v1/vms/{vm}")[kind]]


def slots(guest):
    """-> PCI slots of the guest that have a disk or a NIC."""
    return sorted(n for n in (int(x.split(":")[2].split(".")[0], 16) for x in guest.sh("ls /sys/bus/pci/devices").split()) if n >= 4)


def appears(guest, path, there=True):
    guest.sh(f"for i in $(seq 100); do [ {'' if there else '!'} -e {path} ] && break; sleep 0.1; done; [ {'' if there else '!'} -e {path} ]", 60)


READ = "dd if=/dev/vda bs=64k count=4 iflag=direct 2>/dev/null | md5sum"


def come(h, guest, other, n):
    """A disk and a NIC are plugged in. The disk is written and read, the NIC answers. -> (disk, id of the NIC, checksum of what was written)"""
    disk = plug(h, guest.name, "disks", {"pool": "ram", "volume": "v", "serial": f"HOT{n}"})
    plug(h, guest.name, "nics", {"id": f"net{n}", "network": "lan"})
    out = guest.sh("for i in $(seq 100); do [ -e /sys/block/vda -a -e /sys/class/net/eth0 ] && break; sleep 0.1; done; cat /sys/block/vda/serial; echo; dd if=/dev/urandom of=/tmp/r bs=64k count=4 2>/dev/null; dd if=/tmp/r of=/dev/vda bs=64k oflag=direct 2>/dev/null;"
                   f"md5sum </tmp/r; {READ}; ip addr add 10.3.0.{n + 10}/24 dev eth0; ip link set eth0 up", 60).split()
    assert out[0] == f"HOT{n}" and out[1] == out[3], out
    assert other.ping(f"10.3.0.{n + 10}", 1, 5) == 1
    return disk, f"net{n}", out[1]


def test_again_and_again(h):
    """Twenty times a disk and a NIC come and go, with control kernels and vmm programs that end in between. Slots do not run out, nothing stays behind."""
    api = h.api
    a, b = Guest(api, "a", []), Guest(api, "b", ["lan"])
    b.address("10.3.0.1/24")
    before, instance = slots(a), api.get("/v1/host")["control"]["instance"]
    n_before = len(a.sh("ls /sys/bus/pci/devices").split())
    for n in range(20):
        disk, nic, checksum = come(h, a, b, n)
        if n in (5, 12):
            instance += 1
            api.post("/v1/host/control/restart")
            wait_instance(api, instance)
        if n in (8, 12):
            api.post("/v1/vms/a/actions/test-crash-vmm")
        if n == 15:  # a guest that boots finds what is there
            position = api.console("a")[1]
            api.post("/v1/vms/a/actions/reset")
            api.wait_console("a", "guest userspace up", 90, since=position)
            a.sh("stty -echo; PS1=; echo")
        out = a.sh(f"{READ}; ls /sys/bus/pci/devices").split()
        assert out[0] == checksum and len(out) == 2 + n_before + 2, out
        unplug(h, "a", "disks", disk["id"])
        unplug(h, "a", "nics", nic)
        assert len(a.sh("ls /sys/bus/pci/devices /sys/block").split()) == 2 + n_before
    assert slots(a) == before
    assert ids(h, "a", "disks") == ids(h, "a", "nics") == []
    assert not api.get("/v1/pools/ram/volumes/v")["in_use"]


def test_many(h):
    """All slots at once; those that are free again are used again; what was there when the VM ended is there when it starts."""
    a = Guest(h.api, "a", [], disks=[{"pool": "ram", "volume": "w"}])
    h.api.upload("cd", bytes(1024))
    for n in range(7):
        plug(h, "a", "disks", {"id": f"d{n}", "image": "cd"})
    for n in range(4):
        plug(h, "a", "nics", {"network": "lan"})
    appears(a, "/sys/block/vdh")
    appears(a, "/sys/class/net/eth3")
    for kind, device in (("disks", {"image": "cd"}), ("nics", {"network": "lan"})):
        with pytest.raises(Problem) as e:
            plug(h, "a", kind, device)
        assert e.value.status == 409 and e.value.body["code"] == "limit_reached"
    unplug(h, "a", "disks", "d2")
    unplug(h, "a", "nics", "nic1")
    assert slots(a) == [4, 5, 6, 8, 9, 10, 11, 12, 14, 15]
    ports = h.api.get("/v1/networks/lan/ports")["items"]
    assert [p["nic"] for p in ports] == ["nic0", "nic2", "nic3"], ports
    assert plug(h, "a", "disks", {"id": "again", "image": "cd"})["slot"] == 7
    assert plug(h, "a", "nics", {"network": "lan", "slot": 13})["id"] == "nic1"
    unplug(h, "a", "disks", "disk0")
    assert h.api.get("/v1/vms/a")["disks"][0]["id"] == "d0"
    h.api.post("/v1/vms/a/actions/stop")
    position = h.api.console("a")[1]
    h.api.post("/v1/vms/a/actions/start")
    h.api.wait_console("a", "guest userspace up", 90, since=position)
    a.sh("stty -echo; PS1=; echo")
    assert slots(a) == list(range(5, 16))
    saved(h, a)
    h.api.post("/v1/vms/a/actions/stop")
    h.api.delete("/v1/vms/a")
    h.api.delete("/v1/images/cd")


def saved(h, a):
    """A VM is saved and restored with what was plugged into it, and it can be unplugged then."""
    plug(h, "a", "disks", {"id": "late", "pool": "ram", "volume": "v"})
    appears(a, "/sys/block/vdh")
    unplug(h, "a", "disks", "d0")
    write = "dd if=/dev/urandom of=/tmp/r bs=64k count=4 2>/dev/null; dd if=/tmp/r of=/dev/vdh bs=64k oflag=direct 2>/dev/null; md5sum </tmp/r"
    checksum = a.sh(write).split()[0]
    assert ended(h, h.api.post("/v1/vms/a/actions/save", {"image": "state"}))["state"] == "succeeded"
    assert ended(h, h.api.post("/v1/vms/a/actions/restore", {"image": "state"}))["state"] == "succeeded"
    assert a.sh("dd if=/dev/vdh bs=64k count=4 iflag=direct 2>/dev/null | md5sum").split()[0] == checksum
    assert slots(a) == [4] + list(range(6, 16))
    assert plug(h, "a", "disks", {"image": "cd"})["slot"] == 5
    unplug(h, "a", "disks", "late")
    assert slots(a) == list(range(5, 16))
    h.api.delete("/v1/images/state")


def refused(h, method, path, status, code, body=None, pointer=None):
    got, _, data = h.api.raw(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"} if body is not None else {})
    answer = json.loads(data)
    assert (got, answer["code"]) == (status, code), answer
    if pointer:
        assert answer["errors"][0]["pointer"] == pointer, answer


def test_refusals(h):
    """What cannot come or go, and why; a guest that does not listen keeps what it has, but not against force."""
    a, v = Guest(h.api, "a", []), {"pool": "ram", "volume": "v"}
    h.api.post("/v1/vms", {"name": "c", "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "checker"}, "disks": [{"pool": "ram", "volume": "w"}]})
    refused(h, "POST", "/v1/vms/a/disks", 400, "invalid_argument", {})
    refused(h, "POST", "/v1/vms/a/disks", 404, "no_volume", {"pool": "ram", "volume": "none"}, "/volume")
    refused(h, "POST", "/v1/vms/a/disks", 404, "no_pool", {"pool": "none", "volume": "v"}, "/pool")
    refused(h, "POST", "/v1/vms/a/disks", 400, "invalid_argument", {**v, "slot": 12}, "/slot")
    refused(h, "POST", "/v1/vms/a/nics", 400, "invalid_argument", {"network": "none"}, "/network")
    refused(h, "POST", "/v1/vms/nobody/nics", 404, "no_vm", {"network": "lan"})
    refused(h, "DELETE", "/v1/vms/a/disks/none", 404, "no_disk")
    refused(h, "DELETE", "/v1/vms/a/nics/none", 404, "no_nic")
    h.api.post("/v1/vms/c/actions/start")
    h.api.wait_console("c", "round 0,", 60)
    refused(h, "POST", "/v1/vms/a/disks", 409, "busy", {"pool": "ram", "volume": "w"}, "/volume")
    refused(h, "DELETE", "/v1/vms/c/disks/disk0", 409, "unsupported")
    plug(h, "a", "disks", v)
    appears(a, "/sys/block/vda")
    refused(h, "POST", "/v1/vms/a/disks", 400, "invalid_argument", {"id": "disk0", "image": "initrd"}, "/id")
    h.api.post("/v1/vms/a/actions/pause")  # nobody can answer: cancelled, the device stays
    job = h.api.delete("/v1/vms/a/disks/disk0")
    refused(h, "DELETE", "/v1/vms/a/disks/disk0", 409, "busy")
    refused(h, "POST", "/v1/vms/a/actions/checkpoint", 409, "busy", {"image": "x"})
    assert h.api.delete(f"/v1/operations/{job['id']}")["state"] == "cancelled"
    h.api.post("/v1/vms/a/actions/resume")
    assert "1024+0 records in" in a.sh("dd if=/dev/vda of=/dev/null bs=4k iflag=direct 2>&1")
    assert ids(h, "a", "disks") == ["disk0"]
    forced(h, a)


def forced(h, a):
    """As if the plug were pulled, out of a guest that has 42 requests under way, too; then all is ones. Nobody else notices."""
    unplug(h, "c", "disks", "disk0", "?force=true")
    assert h.api.get("/v1/vms/c")["state"] == "running"
    read = "hexdump -n 2 -e '1/2 \"%x\"' /sys/bus/pci/devices/0000:00:04.0/config"
    assert a.sh(read).strip() == "1af4"
    unplug(h, "a", "disks", "disk0", "?force=1")
    assert a.sh(read).strip() == "ffff"
    assert ids(h, "a", "disks") == ids(h, "c", "disks") == [] and not h.api.get("/v1/pools/ram/volumes/w")["in_use"]
    assert h.api.get("/v1/vms/a")["state"] == "running"


def test_off(h):
    """Of a VM that does not run the definition changes."""
    h.api.post("/v1/vms", {"name": "c", "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "checker"}})
    assert plug(h, "c", "disks", {"pool": "ram", "volume": "w"}) == h.api.get("/v1/vms/c")["disks"][0]
    assert plug(h, "c", "nics", {"network": "lan"}) == h.api.get("/v1/vms/c")["nics"][0]
    h.api.post("/v1/vms/c/actions/start")
    h.api.wait_console("c", "round 0,", 60)
    h.api.post("/v1/vms/c/actions/stop")
    assert h.api.delete("/v1/vms/c/disks/disk0") is None and h.api.delete("/v1/vms/c/nics/nic0") is None
    assert ids(h, "c", "disks") == ids(h, "c", "nics") == []
