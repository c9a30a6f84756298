# SPDX-License-Identifier: BSD-2-Clause
"""Everything at once on one host while its programs die (docs/restart.md): guests that verify every block on drives of three kinds, Linux guests that
send checksummed data to each other, fetch it through NAT and write it to a file system; and clients of images, VMs, volumes and a console."""
import base64
import os
import random
import re
import shutil
import subprocess
import threading
import time

from clients import LOST, Console, Images, Vms, instances, remove_all, stop_all
from host import BUILD, Api, Host, Problem
from netguests import Guest, spec
from test_guest_disk import CHECKER, until, volume
from test_guest_net import Server
from test_pools import ENDS, finished, put, serves
from volumes import DATA, DATA_BYTES, EXTENT, MIB, Lost, Volumes, Watched, until_read

OPTIONS = "ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 test.hooks=1"
DEATHS = max(24, int(os.environ.get("SOAK", "0")) // 10)
EARLY = DEATHS // 4  # while VMs start and Linux boots
POOLS = {"pn": "nvme@00:06.0/1", "pa": "ahci@00:07.0/0", "pv": "virtio@00:08.0"}
DEVICES = ["nvme,drive=d0,serial=s0,addr=6", "ich9-ahci,id=sata,addr=7", "ide-hd,drive=d1,bus=sata.0", "virtio-blk-pci,drive=d2,addr=8"]
IMAGES = {"checker": BUILD / "guests" / "disk", "poke": BUILD / "guests" / "poke", "soak": BUILD / "guests" / "soak",
          "vmlinuz": BUILD / "guest" / "vmlinuz", "initrd": BUILD / "guest" / "initrd.gz"}
VMS = [*({**CHECKER, "name": f"disk-{pool}", "disks": [{"pool": pool, "volume": "v"}]} for pool in POOLS),
       {"name": "talker", "vcpus": 1, "memory": "16MiB", "weight": 20, "boot": {"kernel": "poke"}},
       spec("a", ["lan", "default"]), spec("b", ["lan"], disks=[{"pool": "pv", "volume": "files"}])]
# What each of them has to tell again and again, with a number that grows.
TOLD = [*((f"disk-{pool}", "round") for pool in POOLS), ("a", "received"), ("a", "fetched"), ("b", "received"), ("b", "written")]
WRONG = r"FAILED.*|Kernel panic.*|I/O error.*|EXT4-fs error.*|BUG:.*|Oops.*"
PATIENCE = 300  # seconds for what takes a few on a machine that has nothing else to do


def machine(folder, options="", limit=PATIENCE):
    extra = [a for n in range(3) for a in ("-drive", f"file={folder}/drive{n},format=raw,if=none,id=d{n}")]
    extra += [a for d in DEVICES for a in ("-device", d)]
    return Host(options=f"{OPTIONS} {options}", mem=1536, smp=2, nic="virtio-net-pci,addr=9", extra=extra, limit=limit)


def set_up(folder):
    """A host with all of it on its drives, to start by itself. -> objects of hv when everything runs, names of volumes in the pool "pn"."""
    for n in range(3):
        with (folder / f"drive{n}").open("wb") as f:
            f.truncate(96 * MIB)
    with machine(folder) as h:
        until_read(h.ready().api, 60)
        for pool, disk in POOLS.items():
            h.api.post("/v1/pools", {"name": pool, "disks": [disk], "extent_bytes": EXTENT})
            volume(h, pool=pool)
        volume(h, "files", 16 * MIB, "pv")
        for name, file in IMAGES.items():
            h.api.upload(name, file)
            assert finished(h.api, h.api.post(f"/v1/images/{name}/actions/store", {"pool": "pa"}))["state"] == "succeeded"
        h.api.post("/v1/networks", {"name": "lan"})
        for vm in VMS:
            h.api.post("/v1/vms", {**vm, "autostart": True})
            h.api.post(f"/v1/vms/{vm['name']}/actions/start")
        for name in "ab":
            Guest.running(h.api, name, PATIENCE)
        foreign = [v["name"] for v in h.api.get("/v1/pools/pn/volumes")["items"]]
        h.api.post("/v1/pools/pn/volumes", {"name": DATA, "bytes": DATA_BYTES})
        assert put(h.api, f"/v1/pools/pn/volumes/{DATA}", bytes(DATA_BYTES))[0] == 200
        return h.api.get("/v1/host")["objects"], foreign


# ---- what the Linux guests do, until there is a file /tmp/stop ----

HEAD = 'say() { echo "$*" >/dev/console; }\nfail() { say "FAILED: $*"; exit 1; }\nn=0\n'
SEND = """
mkfifo /tmp/ever$2; exec 0<>/tmp/ever$2
while [ ! -e /tmp/stop ]; do
  dd if=/dev/urandom of=/tmp/out bs=64k count=8 2>/dev/null
  until (sha256sum </tmp/out; cat /tmp/out) | nc $1 $2 2>/dev/null; do sleep 0.2; done # the other one does not listen yet
done
"""
RECEIVE = """
mkfifo /tmp/ever$1; exec 0<>/tmp/ever$1
while :; do
  nc -l -p $1 | { read wanted; sha256sum >/tmp/sum; [ "$wanted" = "$(cat /tmp/sum)" ]; } || fail received
  n=$((n + 1)); say received $n
done
"""
FETCH = """
while :; do
  wget -q -O /tmp/page $1 && [ "$(sha256sum </tmp/page)" = "$2  -" ] || fail "fetched $(wc -c </tmp/page) bytes"
  n=$((n + 1)); say fetched $n
done
"""
# Each file is read back from the disk, not from memory.
WRITE = """
while [ ! -e /tmp/stop ]; do
  f=/m/$((n % 12))
  dd if=/dev/urandom of=/tmp/new bs=64k count=8 2>/dev/null
  cp /tmp/new $f && sha256sum </tmp/new >$f.sum && sync || fail "to write $f"
  echo 3 >/proc/sys/vm/drop_caches
  [ "$(sha256sum <$f)" = "$(sha256sum </tmp/new)" ] || fail "read $f"
  n=$((n + 1)); say written $n
done
"""
COMPARE = "for f in /m/*.sum; do [ \"$(sha256sum <${f%.sum})\" = \"$(cat $f)\" ] || echo FAILED $f; done; echo $(ls /m/*.sum | wc -l) files"


def run(guest, name, script, *words):
    text = base64.b64encode((HEAD + script).encode()).decode()
    guest.sh(f"echo {text} | base64 -d >/tmp/{name}; sh /tmp/{name} {' '.join(words)} & {name}=$!", PATIENCE)


def begin_work(h, server):
    a, b = (Guest.running(h.api, name, PATIENCE) for name in "ab")
    for i, g in enumerate((a, b)):
        g.address(f"10.1.0.{i + 1}/24")
        run(g, "receive", RECEIVE, f"{5000 + i}")
    run(a, "send", SEND, "10.1.0.2", "5001")
    run(b, "send", SEND, "10.1.0.1", "5000")
    a.dhcp("eth1")
    run(a, "fetch", FETCH, f"http://10.0.2.2:{server.server_port}/", server.sha256)
    b.sh("mke2fs /dev/vda >/dev/null; mkdir /m; mount -t ext4 /dev/vda /m", PATIENCE)
    run(b, "write", WRITE)
    return a, b


def check_files(h, b, folder):
    """The file system is whole, in the guest and as e2fsck sees it; each file is what was written."""
    b.sh("touch /tmp/stop; wait $write; umount /m; mount -t ext4 -o ro /dev/vda /m", PATIENCE)
    out = b.sh(COMPARE, PATIENCE)
    assert "FAILED" not in out and int(re.search(r"(\d+) files", out)[1]) == 12, out
    b.sh("umount /m", PATIENCE)
    h.api.post("/v1/vms/b/actions/stop")
    file = folder / "files"
    file.write_bytes(h.api.raw("GET", "/v1/pools/pv/volumes/files/content")[2])
    e2fsck = shutil.which("e2fsck", path="/usr/sbin:/sbin")
    r = subprocess.run([e2fsck, "-fn", file], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stdout + r.stderr


# ---- clients ----

class Changes(threading.Thread):
    """The metadata client, one control kernel after the other."""

    prefix = "volumes"

    def __init__(self, h, model):
        super().__init__(daemon=True)
        self.h, self.model, self.stop, self.error = h, model, threading.Event(), None
        self.broken = 0  # connections that ended without a control kernel

    acknowledged = property(lambda self: self.model.acknowledged)
    lost = property(lambda self: self.model.lost)
    checks = property(lambda self: self.model.checks)

    def with_one(self):
        api = Watched(self.h)
        until_read(api, PATIENCE)
        while any(j["state"] == "running" for j in api.get("/v1/operations")["items"]):  # a connection may end without the control kernel
            time.sleep(0.05)
        self.model.check(api)
        while not self.stop.is_set():
            self.model.step(api)
        self.model.check(api)

    def run(self):
        try:
            while not self.stop.is_set():
                n = instances(self.h)
                try:
                    self.with_one()
                except (*LOST, Lost):
                    self.broken += instances(self.h) == n
        except Exception as e:  # the test tells it
            self.error = e


# ---- deaths ----

def told(h):
    """-> {(vm, word): the last number}. Nobody tells of anything that is wrong."""
    now = {}
    for vm, word in TOLD:
        text = until(lambda: h.api.console(vm)[0].decode(errors="replace"), PATIENCE)
        assert not re.search(WRONG, text), f"{vm}: {text[-3000:]}"
        now[vm, word] = max([-1] + [int(n) for n in re.findall(rf"^{word} (\d+)\b", text, re.M)])
    return now


def goes_on(h, clients):
    """Everybody gets ahead."""
    def now():
        disks = {vm["name"]: h.api.get(f"/v1/vms/{vm['name']}/stats")["disks"][0]["reads"] for vm in VMS[:3]}
        return {**told(h), **disks, **{c.prefix: c.acknowledged for c in clients}}
    before, deadline = now(), time.monotonic() + PATIENCE
    while True:
        after = now()
        still = [who for who in before if after[who] <= before[who] and "round" not in who]  # those tell of 500 at a time
        if not still:
            return
        for c in clients:
            assert c.error is None, repr(c.error)
        assert time.monotonic() < deadline, (still, after)
        time.sleep(0.2)


def ask(h, path):
    try:
        Api(h.port, 5).post(path)
    except (*LOST, Problem):  # a vmm that has just begun takes no command
        pass


def end_some(h, rng):
    """A control kernel ends, and perhaps a vmm just before it."""
    time.sleep(rng.uniform(0, 1.5))
    n = instances(h)
    if rng.random() < 0.5:
        ask(h, f"/v1/vms/{rng.choice(VMS)['name']}/actions/test-crash-vmm")
    while instances(h) == n:
        ask(h, f"/v1/host/control/{rng.choice(ENDS)}")
        deadline = time.monotonic() + 10  # asked too early again, the next one would end, too
        while instances(h) == n and time.monotonic() < deadline:
            time.sleep(0.01)
    serves(h, n + 2)  # the first was started without a line


def all_run(h):
    """Once the drives were read there are VMs, and they start."""
    deadline = time.monotonic() + PATIENCE
    while True:
        now = {vm["name"]: vm["state"] for vm in h.api.get("/v1/vms")["items"]}
        if now == {vm["name"]: "running" for vm in VMS}:
            return
        assert time.monotonic() < deadline, now
        time.sleep(0.1)


def check_vms(h):
    for vm in VMS:
        now = h.api.get(f"/v1/vms/{vm['name']}")
        assert now["state"] == "running", (vm["name"], now["state"], now["reason"], now["start_error"])
        for disk in h.api.get(f"/v1/vms/{vm['name']}/stats")["disks"]:
            assert disk["errors"] == 0 and disk["reads"] > 0, (vm["name"], disk)
        text = h.api.console(vm["name"])[0].decode(errors="replace")
        assert text.count("guest userspace up") <= 1 and text.count("round 0,") <= 1, f"{vm['name']} was reset"


def test_everything(tmp_path):
    """Some deaths while it all starts, by itself; the others when it all goes on, and it goes on between them."""
    objects, foreign = set_up(tmp_path)
    rng, server = random.Random(13), Server(256 << 10)
    with machine(tmp_path, f"test.soak={EARLY} test.soak_ms=1500", 5 * PATIENCE + 60 * DEATHS) as h:
        serves(h, EARLY + 1)
        h.api.timeout = 60
        all_run(h)
        clients = [Images(h, 1, 2), Vms(h, 2, 2), Changes(h, Volumes(rng, "pn", foreign))]
        console = Console(h, "talker", 2)
        for t in [*clients, console]:
            t.start()
        a, b = begin_work(h, server)
        for n in range(EARLY, DEATHS):
            if n % 6 == 0:
                goes_on(h, clients)
            end_some(h, rng)
        goes_on(h, clients)
        stop_all(clients, console)
        print(f"{instances(h)} control kernels; {told(h)}; {clients[2].broken} connections ended without one")
        check_vms(h)
        check_files(h, b, tmp_path)
        h.api.post("/v1/vms/b/actions/start")
        Guest.running(h.api, "b", PATIENCE)
        remove_all(h)
        print(f"{instances(h)} control kernels")
        assert h.api.get("/v1/host")["objects"] == objects, "something stays behind"
        assert len(re.findall(r"a vmm \(program", h.serial.text)) > DEATHS // 6
        assert "panic" not in h.serial.text and "no longer managed" not in h.serial.text
