#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The figures of docs/performance.md, measured now. Deterministic: QEMU TCG with -icount shift=0, one CPU, so that one TSC tick
is one instruction, guest and hypervisor together. `measure()` is also what the tests hold to the bounds."""
import gzip
import re
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "lib"), str(Path(__file__).parent / "peers")]
import peers  # noqa: E402
from bochs import BochsHost  # noqa: E402
from host import BUILD, IMAGE, INITRD, KERNEL, Host, config_file, modules  # noqa: E402
from netguests import Guest  # noqa: E402

# name: (what, Xen 4.17, KVM 6.1 + QEMU 7.2, at most)
BOUNDS = {
    "cpuid": ("CPUID exit", "2,475", "3,001", 250),
    "rdmsr": ("RDMSR that exits", "2,386", "2,924", 250),
    "wrmsr": ("WRMSR that exits", "–", "3,443", 250),
    "port_nobody": ("port read, nobody there", "1,109", "5,066", 300),
    "port_vmm": ("port read answered by the vmm program, same CPU", "–", "5,066", 1500),
    "mmio_nobody": ("MMIO read, nobody there", "5,742", "7,127", 800),
    "doorbell_port": ("doorbell write, port", "–", "1,567", 250),
    "doorbell_mmio": ("doorbell write, MMIO", "–", "3,851", 600),
    "self_ipi": ("self-IPI and its EOI (x2APIC)", "–", "9,532", 900),
    "eoi": ("EOI (x2APIC)", "–", "3,490", 250),
    "hypercall": ("hypercall nobody knows", "2,615", "8,847", 250),
    "hlt_self_ipi": ("self-IPI woken from HLT", "–", "12,542", 1500),
    "timer_wake": ("timer wake from HLT, overhead", "9,900", "–", 2000),
    "rng_request": ("64 random bytes from virtio-rng, doorbell to interrupt handler, vCPU in HLT", "–", "–", 6000),
    "ping_gateway_us": ("ping of a guest to its gateway, virtual µs (QEMU's slirp, kvmtool's)", "–", "92 / 76", 40),
    "ping_guest_us": ("ping from guest to guest, one CPU for all, virtual µs", "–", "–", 75),
    "tcp_per_kib": ("TCP from guest to guest, both guests included, instructions a KiB", "–", "–", 35_000),
    "ready_ms": ("power-on to \"management ready\", static address, virtual ms", "8,960", "–", 500),
    "create_minstr": ("create + start of a 128 MiB VM to its first instruction, M instructions", "580", "–", 40),
    "host_kib": ("hypervisor + control side memory on a 2 GiB machine, KiB", "171,008", "–", 32 * 1024),
    "guest_kib": ("overhead per 128 MiB guest, its vmm included, KiB", "1,728", "50,176 / 1,229", 384),
    "linux_ms": ("create to guest userspace, Debian cloud kernel, 256 MiB, virtual ms", "2,140", "1,960 / 1,800", 1650),
    "linux_read": ("4 KiB direct read in a Linux guest, disk in memory, no I/O scheduler, all in", "–", "–", 20000),
    "linux_read_mq": ("the same with mq-deadline, which Linux takes for a disk of one queue", "–", "88,000 / 46,000", 23000),
    "image_kib": ("image, gzip -9, KiB", "11,621", "–", 1024),
}


EXITS_VM = {"name": "exits", "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "exits"}, "autostart": True}


def costs(h):
    h.serial.wait(r"ok exits", 100)
    return {m[0]: int(m[1]) for m in re.findall(r"cost (\w+) (\d+)", h.serial.text)}


def exits_bochs(model, directory, options=""):
    """The same guest on a CPU of Bochs, where a TSC tick is an instruction too."""
    files = [BUILD / "guests" / "exits", config_file(directory, [EXITS_VM])]
    with BochsHost("console.guests=all test.hooks=1 test.exact=1 " + options, files, model=model, net=False) as h:
        return costs(h)


def exits(directory, options=""):
    files = modules((BUILD / "guests" / "exits", "exits"), (config_file(directory, [EXITS_VM]), "socle.json"))
    with Host(options="console.guests=all test.hooks=1 test.exact=1 " + options, mem=256, net=False, modules=files, icount=True, limit=120) as h:
        return costs(h)


def stamp(text, pattern):
    """Virtual seconds of the log line that matches: each line begins with [ seconds ]."""
    m = re.search(r"^\[ *(\d+\.\d+)\][^\n]*" + pattern, text, re.M)
    if not m:
        raise AssertionError(f"no line with '{pattern}' in the log:\n{text[-3000:]}")
    return float(m[1])


def ready(directory):
    with Host(options="ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1", mem=2048, icount=True, limit=120) as h:
        h.serial.wait(r"management ready.*\n", 100)
        before = int(h.serial.wait(r"(\d+) ms since reset", 1)[1])
        return {"ready_ms": before + round(stamp(h.serial.text, "management ready") * 1000)}


def create(directory):
    """A VM of 128 MiB from the request to the message that it runs, which comes after its first instruction."""
    vm = {"name": "first", "vcpus": 1, "memory": "128MiB", "boot": {"kernel": "spin"}, "autostart": True}
    files = modules((BUILD / "guests" / "spin", "spin"), (config_file(directory, [vm]), "socle.json"))
    with Host(net=False, mem=512, modules=files, icount=True, limit=120) as h:
        h.serial.wait(r"VM first is running.*\n", 60)
        text = h.serial.text
        return {"create_minstr": round((stamp(text, r"VM first is running") - stamp(text, r"VM first is starting")) * 1000, 1)}


def memory(directory):
    """What the host and a guest of 128 MiB cost on a machine of 2 GiB, as the API says it (the sums are tested)."""
    with Host(mem=2048, limit=120) as h:
        api = h.ready().api
        used = api.get("/v1/host")["memory"]["used"]
        api.upload("spin", BUILD / "guests" / "spin")
        api.post("/v1/vms", {"name": "m", "vcpus": 1, "memory": "128MiB", "boot": {"kernel": "spin"}})
        free = api.get("/v1/host")["memory"]["free"]
        api.post("/v1/vms/m/actions/start")
        guest = free - api.get("/v1/host")["memory"]["free"] - (128 << 20)
        return {"host_kib": (used["hypervisor"] + used["control"]) // 1024, "guest_kib": guest // 1024}


def linux(directory):
    vm = {"name": "linux", "vcpus": 1, "memory": "256MiB", "autostart": True,
          "boot": {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=ttyS0 quiet nokaslr run=poweroff,-f"}}
    files = modules((KERNEL, "vmlinuz"), (INITRD, "initrd"), (config_file(directory, [vm]), "socle.json"))
    with Host(options="console.guests=all", mem=1024, net=False, modules=files, icount=True, limit=300) as h:
        h.serial.wait(r"guest userspace up.*\n", 250)
        text = h.serial.text
        return {"linux_ms": round((stamp(text, r"guest userspace up") - stamp(text, r"VM linux is starting")) * 1000)}


READS = 3000


def linux_read(directory):
    """dd with O_DIRECT, one read at a time, from a disk that is an image: READS more reads against a run of few, so that what is around them cancels out."""
    disk = Path(directory) / "disk"
    disk.write_bytes(bytes(range(256)) * 64 * 1024)

    def dd(n):
        return f"dd,if=/dev/vda,of=/dev/null,bs=4k,iflag=direct,count={n},2>/dev/null"
    def reads(name):
        return f"{dd(1000)};echo,{name}-0;{dd(500)};echo,{name}-1;{dd(500 + READS)};echo,{name}-2"
    run = f"{reads('mq')};echo,none,>/sys/block/vda/queue/scheduler;{reads('none')};poweroff,-f"
    vm = {"name": "linux", "vcpus": 1, "memory": "256MiB", "autostart": True, "disks": [{"image": "disk"}],
          "boot": {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": f"console=ttyS0 quiet nokaslr run={run}"}}
    files = modules((KERNEL, "vmlinuz"), (INITRD, "initrd"), (disk, "disk"), (config_file(directory, [vm]), "socle.json"))
    with Host(options="console.guests=all", mem=1024, net=False, modules=files, icount=True, limit=300) as h:
        h.serial.wait(r"none-2.*\n", 250)

        def cost(name):
            at = [stamp(h.serial.text, f"{name}-{i}") for i in range(3)]
            return round((at[2] - at[1] - (at[1] - at[0])) * 1e9 / READS)
        return {"linux_read": cost("none"), "linux_read_mq": cost("mq")}


def network(directory):
    """Two Linux guests on one CPU, on the default network. Ping's own words, its mean of 20 after the first."""
    with Host(options="ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1", mem=512, icount=True, limit=300) as h:
        h.ready()
        h.api.upload_linux()
        a, b = [Guest(h.api, name, ["default"]) for name in "ab"]
        for i, g in enumerate((a, b)):
            g.address(f"192.168.213.{i + 10}/24")

        def ping(ip):
            a.sh(f"ping -c 2 -i 0.1 {ip}")
            return round(float(re.search(r"= [\d.]+/([\d.]+)/", a.sh(f"ping -c 20 -i 0.1 {ip}", 60)).group(1)) * 1000)
        result = {"ping_gateway_us": ping("192.168.213.1"), "ping_guest_us": ping("192.168.213.11")}
        begun = b.begin("nc -l -p 5000 >/dev/null")
        a.sh("dd if=/dev/zero of=/tmp/x bs=1M count=16; sleep 1")
        out = a.sh("cat /proc/uptime; nc 192.168.213.11 5000 </tmp/x; cat /proc/uptime", 120)
        b.wait(begun, 60)
        first, last = [float(x) for x in re.findall(r"^(\d+\.\d+) ", out, re.M)]
        return {**result, "tcp_per_kib": round((last - first) * 1e9 / (16 << 10))}


def image(directory):
    return {"image_kib": round(len(gzip.compress(IMAGE.read_bytes(), 9)) / 1024)}


PARTS = [exits, ready, create, memory, linux, linux_read, network, image]


def measure(parts=None):
    result = {}
    with tempfile.TemporaryDirectory() as d:
        for part in parts or PARTS:
            result.update(part(d))
    return result


DEFENCES = ["rsb", "verw", "retpoline", "safe-ret", "exit-ibpb", "clear-regs", "rsb,verw,retpoline,safe-ret,clear-regs"]


def defences():
    """What each speculation defence costs when it is forced on, in instructions; on silicon most is in the time each takes."""
    print("\n| mitigations= | CPUID exit | port read answered by the vmm |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as d:
        for name in ["off", *DEFENCES]:
            result = exits(d, f"mitigations={name}")
            print(f"| `{name}` | {result['cpuid']:,} | {result['port_vmm']:,} |")


def intel():
    """The exits on VMX, by the same guest: with the APIC in the CPU, without, and with the defences an old Skylake needs."""
    with tempfile.TemporaryDirectory() as d:
        columns = [exits_bochs("corei7_skylake_x", d, "mitigations=off"), exits_bochs("corei7_sandy_bridge_2600k", d, "mitigations=off"),
                   exits_bochs("corei7_skylake_x", d)]
    print("\n| VMX | APIC in the CPU | without | with Skylake's defences | bound |\n|---|---|---|---|---|")
    for name in columns[0]:
        print(f"| {BOUNDS[name][0]} | " + " | ".join(f"{c[name]:,}" for c in columns) + f" | {BOUNDS[name][3]:,} |")


def main():
    bad = 0
    print("| | Xen 4.17 | KVM 6.1 (+ QEMU 7.2) / kvmtool | Socle | bound |\n|---|---|---|---|---|")
    result = {}
    for part in PARTS:
        try:
            result.update(measure([part]))
        except AssertionError as e:
            bad += 1
            print(f"bench: {part.__name__}: {str(e).splitlines()[0]}", file=sys.stderr)
    for name, (what, xen, kvm, bound) in BOUNDS.items():
        value = result.get(name)
        over = value is None or value > bound
        bad += over
        shown = "not measured" if value is None else f"{value:,}"
        print(f"| {what} | {xen} | {kvm} | {shown}{' (over the bound)' if over and value is not None else ''} | {bound:,} |")
    intel()
    defences()
    peers.table()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
