#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Guests' I/O on Socle and on KVM + QEMU: one guest kernel, one initrd, one program (io.c), one emulated machine (docs/performance.md says which). Disks
run under -icount shift=0, so that virtual time is instructions; networks by the wall clock, one side after the other, for two guests under KVM hang in an
emulator that counts. `peers.py` prints the table; `peers.py kvm JOB...` tries other jobs of host.init."""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import taps  # noqa: E402
from host import BUILD, KERNEL, ROOT, Host, modules  # noqa: E402
from volumes import LOST  # noqa: E402

PEERS = BUILD / "peers"
# The drive answers while it is asked: an idle CPU's virtual time leaps to its next timer, so one that answers later would take as long as that. It keeps nothing.
DRIVE = ["-blockdev", f"driver=null-co,node-name=d,size={1 << 30},read-zeroes=on", "-device", "virtio-blk-pci,drive=d,ioeventfd=off"]
QUIET = "console=ttyS0 quiet nokaslr cryptomgr.notests panic=-1"
DISK = "io,disk,/dev/vda;poweroff,-f"
LINK = "ip,link,set,eth0,up;ip,addr,add,192.168.213.{},dev,eth0"
PING = "ping,-q,-c,2,-i,0.1,192.168.213.{0};echo,to,{0};ping,-q,-c,20,-i,0.1,192.168.213.{0}"
SERVER = LINK.format("11/24") + ";io,serve"
CLIENT = ";".join([LINK.format("10/24"), "io,net,192.168.213.11", PING.format(11), PING.format(1), "echo,the,end", "poweroff,-f"])
# Two NICs of the machine, joined outside: "wire", taps that do checksums and segmentation; "plain", a hub that does neither.
PLAIN = [a for n in (0, 1) for a in ("-netdev", f"hubport,id=w{n},hubid=7", "-device", f"virtio-net-pci,netdev=w{n},addr={8 + n},mac=52:54:00:00:07:0{n}")]
WIRE_CLIENT = ";".join([LINK.format("10/24"), "io,net,192.168.213.11", PING.format(11), "echo,the,end", "poweroff,-f"])
# io_uring came out best of native, io_uring, threads, and native with an iothread.
DISK_JOB, NET_JOBS = "disk-io_uring", ["net-vhost", "wire-vhost", "plain-vhost"]
ROUNDS = 3  # of what the wall clock measures; the best one counts

# name of the measurement, field: (what, format, the target: ratio to KVM at least, or the value at most)
ROWS = [
    ("seq-read", "mbs", "sequential read, 1 MiB, MB/s", "x1.5"),
    ("seq-write", "mbs", "sequential write, 1 MiB, MB/s", "x1.5"),
    ("rand-read", "mbs", "random read, 4 KiB, one at a time, MB/s", "x1.5"),
    ("rand-write", "mbs", "random write, 4 KiB, one at a time, MB/s", "x1.5"),
    ("rand-read-16", "mbs", "random read, 4 KiB, 16 at a time, MB/s", "x1.5"),
    ("rand-write-16", "mbs", "random write, 4 KiB, 16 at a time, MB/s", "x1.5"),
    ("rand-read", "instructions", "4 KiB direct read through a pool and a driver, one at a time, instructions all in", None),
    ("tcp", "mbs", "TCP from guest to guest, MB/s, wall clock", "x1.5"),
    ("udp", "us", "UDP round trip between guests, no pause, µs, wall clock", "x1.5"),
    ("ping-11", "us", "ping between guests, µs, wall clock", "x1.5"),
    ("ping-1", "us", "ping to the host's side, µs, wall clock", "x1.5"),
    ("wire-tcp", "mbs", "TCP from guest to guest by two NICs and the wire between them, MB/s, wall clock", "x1.5"),
    ("wire-udp", "us", "UDP round trip that way, µs, wall clock", "x1.5"),
    ("wire-ping-11", "us", "ping that way, µs, wall clock", "x1.5"),
    ("plain-tcp", "mbs", "TCP by two NICs that can neither sum nor split, MB/s, wall clock", "x1.5"),
    ("plain-udp", "us", "UDP round trip that way, µs, wall clock", "x1.5"),
    ("plain-ping-11", "us", "ping that way, µs, wall clock", "x1.5"),
]


def prepare(what):
    subprocess.run([ROOT / "tests" / "peers" / "build.sh", BUILD, what], check=True)


def parse(text):
    """What io and ping say -> {name: {us, mbs, instructions}}"""
    found = {}
    for name, us, mbs, instructions in re.findall(r"io (\S+) \d+ ops ([\d.]+) us ([\d.]+) MB/s (\d+) instructions", text):
        found[name] = {"us": float(us), "mbs": float(mbs), "instructions": int(instructions)}
    for name, ms in re.findall(r"to (\d+)\n(?:.*\n)*?.*round-trip min/avg/max = [\d.]+/([\d.]+)/", text):
        found[f"ping-{name}"] = {"us": float(ms) * 1000}
    return found


def until_answered(request, *args):
    """The API of a machine whose time leaps: a connection may be lost on the way."""
    for _ in range(5):
        try:
            return request(*args)
        except LOST:
            time.sleep(1)
    return request(*args)


def vm(name, run, **more):
    return {"name": name, "vcpus": 1, "memory": "128MiB", "boot": {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": f"{QUIET} run={run}"}, **more}


def boot(directory, vms, networks=(), **more):
    config = Path(directory) / "socle.json"
    config.write_text(json.dumps({"networks": networks, "vms": vms}))
    files = modules((KERNEL, "vmlinuz"), (PEERS / "guest.gz", "initrd"), (BUILD / "guests" / "spin", "spin"), (config, "socle.json"))
    return Host("ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 console.guests=all", mem=1024, modules=files, limit=600, **more)


def socle_disk(directory):
    """The volume of a pool on DRIVE. While the API is asked, a guest keeps the CPU busy: so time does not leap."""
    busy = {"name": "busy", "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "spin"}, "autostart": True}
    with boot(directory, [busy], extra=DRIVE, icount=True) as h:
        api = h.ready(120).api
        disk = until_answered(api.get, "/v1/disks")["items"][0]["name"]
        api.post("/v1/pools", {"name": "p", "disks": [disk]})
        api.post("/v1/pools/p/volumes", {"name": "v", "bytes": 600 << 20})
        api.post("/v1/vms", vm("disk", DISK, disks=[{"pool": "p", "volume": "v"}]))
        api.post("/v1/vms/disk/actions/start")
        api.post("/v1/vms/busy/actions/stop")
        h.serial.wait(r"io rand-write-16 .*\n", 400)
        return parse(h.serial.text)


def socle_net(directory):
    nics = {"nics": [{"network": "default"}], "autostart": True}
    with boot(directory, [vm("server", SERVER, **nics), vm("client", CLIENT, **nics)]) as h:
        h.serial.wait(r"the end", 500)
        return parse(h.serial.text.replace("[client] ", ""))


def named(wire, found):
    return {f"{wire}-{name}": fields for name, fields in found.items()}


def joined(wire):
    """-> QEMU's arguments for the two NICs, and the descriptors they name."""
    fds = taps.bridged(2) if wire == "wire" else []
    return (taps.cards(fds) if fds else PLAIN), fds


def socle_wire(directory, wire):
    cards, fds = joined(wire)
    networks = [{"name": f"w{n}", "uplink": f"00:0{8 + n}.0"} for n in (0, 1)]
    vms = [vm(name, run, nics=[{"network": network}], autostart=True) for name, run, network in (("server", SERVER, "w1"), ("client", WIRE_CLIENT, "w0"))]
    with boot(directory, vms, networks, extra=cards, fds=fds) as h:
        closed(fds)
        h.serial.wait(r"the end", 500)
        return named(wire, parse(h.serial.text.replace("[client] ", "")))


def closed(fds):
    for fd in fds:
        os.close(fd)


def better(best, found):
    """Each figure of `found` that is better than what `best` has."""
    for name, fields in found.items():
        if name not in best or fields["us"] < best[name]["us"]:
            best[name] = fields


def in_turn(run, *args):
    with tempfile.TemporaryDirectory() as d:
        return run(d, *args)


def kvm_run(job, limit=900):
    """The KVM host with one job -> {name: …}. Minutes: a guest boots behind two hypervisors."""
    prepare("host")
    what = job.split("-")[0]
    disk, wire = what == "disk", what in ("wire", "plain")
    words = f"{QUIET} jobs={job.replace('plain', 'wire')} disk={DISK} server={SERVER} client={WIRE_CLIENT if wire else CLIENT}"
    cards, fds = joined(what)
    clock = ["-icount", "shift=0,sleep=off", "-seed", os.environ.get("SEED", "1"), "-rtc", "base=2024-01-01,clock=vm"] if disk else []
    args = ["timeout", str(limit), "qemu-system-x86_64", "-accel", "tcg", "-cpu", "EPYC,+svm", "-smp", "1", "-m", "1024", "-machine", "pc", "-display", "none",
            "-serial", "stdio", "-no-reboot", "-nic", "none", *clock, *(DRIVE if disk else cards), "-kernel", PEERS / "vmlinuz", "-initrd", PEERS / "host.gz", "-append", words]
    r = subprocess.run(args, capture_output=True, text=True, stdin=subprocess.DEVNULL, errors="replace", pass_fds=fds)
    closed(fds)
    text = r.stdout.replace("\r", "")
    (PEERS / f"kvm-{job}.log").write_text(f"{r.returncode}\n{r.stderr}\n{text}")
    if "jobs done" not in text:
        raise AssertionError(f"the KVM host did not come to its end:\n{text[-3000:]}")
    return named(what, parse(text)) if wire else parse(text)


def measure(kvm):
    """-> what Socle does, what KVM does; for the networks they take turns."""
    prepare("guest")
    mine, theirs = in_turn(socle_disk), kvm_run(DISK_JOB, 3000) if kvm else {}
    for _ in range(ROUNDS):
        for job in NET_JOBS:
            what = job.split("-")[0]
            better(mine, in_turn(socle_net) if what == "net" else in_turn(socle_wire, what))
            if kvm:
                better(theirs, kvm_run(job))
    return mine, theirs


def verdict(target, value, ratio):
    if target is None:
        return ""
    if isinstance(target, str):
        return f"at least {target[1:]}x" + ("" if ratio is None or ratio >= float(target[1:]) else " (missed)")
    return f"at most {target:,}" + ("" if value <= target else " (missed)")


def rows(mine, theirs):
    for name, field, what, target in ROWS:
        value = mine[name][field]
        other = theirs.get(name, {}).get(field)
        ratio = None if other is None else (value / other if field == "mbs" else other / value)
        shown = ["–" if v is None else f"{v:,.0f}" for v in (other, value)]
        yield f"| {what} | {shown[0]} | {shown[1]} | {'–' if ratio is None else f'{ratio:.2f}x'} | {verdict(target, value, ratio)} |"


def table():
    """The KVM side runs where it has been built, or with PEERS=1."""
    mine, theirs = measure((PEERS / "host.gz").exists() or os.environ.get("PEERS") == "1")
    print("\n| guests' I/O | KVM 6.1 + QEMU 7.2 | Socle | better by | target |\n|---|---|---|---|---|")
    print("\n".join(rows(mine, theirs)))


def main():
    if sys.argv[1:2] == ["kvm"]:
        print(json.dumps({job: kvm_run(job) for job in sys.argv[2:] or [DISK_JOB, *NET_JOBS]}, indent=1))
    else:
        table()


if __name__ == "__main__":
    main()
