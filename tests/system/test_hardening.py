# SPDX-License-Identifier: BSD-2-Clause
"""The walls, checked from outside: the running machine is stopped, its memory dumped, and every page table hv made (its own,
each program's, each VM's nested ones) walked. What a CPU could reach is compared with who owns which frame."""
import re
import struct
import time

import pytest
from host import BUILD, INITRD, KERNEL, Host
from pagetables import ACCESSED, DIRTY, LARGE, NX, PAGE, PCD, PRESENT, UPPER_HALF, USER, WRITE, Facts, Leaf, Machine, View, walk

MIB = 1 << 20
CR0_WP, CR4_SMEP, CR4_SMAP, EFER_NXE = 1 << 16, 1 << 20, 1 << 21, 1 << 11


# ---- rules for single pages ----

def both_writable_and_executable(leaves):
    return [f"writable and executable: {leaf}" for leaf in leaves if leaf.writable and leaf.executable]


def unfit_for_program(leaves, macro):
    """What no program may have, whatever the frame behind it."""
    low, high = macro["HV_VA_MAP_LO"], macro["HV_VA_END"]
    stack = macro["HV_VA_STACK_TOP"] - macro["HV_STACK_SIZE"]
    found = both_writable_and_executable(leaves)
    for leaf in leaves:
        end = leaf.va + leaf.size
        if leaf.va < low:
            found.append(f"below 2 MiB: {leaf}")
        if end > high:
            found.append(f"not in the lower half: {leaf}")
        if leaf.va < stack and end > macro["HV_VA_MAP_LO_END"]:
            found.append(f"in the guard under the stack: {leaf}")
        if not leaf.user:
            found.append(f"no user page in a program's half: {leaf}")
    return found


def physically_writable_and_executable(leaves):
    """One frame, two mappings: one of them for writing, another for execution."""
    code = {f for leaf in leaves if leaf.executable for f in leaf.frames()}
    return [f"writable, and its frame is executable elsewhere: {leaf}" for leaf in leaves if leaf.writable and not code.isdisjoint(leaf.frames())]


# ---- hv's own half ----

class Half:
    """hv's half of the address space: which page may be where (hv/mm/layout.h, hv/mm/init.h)."""

    def __init__(self, machine, hv_chunks, image, in_hv):
        self.m, self.f, self.macro = machine, machine.facts, machine.facts.macro
        self.hv_chunks, self.image, self.in_hv = hv_chunks, image, in_hv

    def stacks(self, cpu):
        """(first, end) of a CPU's stacks; the page under each is a guard."""
        at = self.macro["HV_CPU_AREA"] + cpu * self.macro["HV_CPU_STRIDE"]
        for size in [self.macro["HV_CPU_STACK"]] + 3 * [self.macro["HV_CPU_IST_STACK"]]:
            yield at + PAGE, at + PAGE + size
            at += PAGE + size

    def in_image(self, leaf):
        s = self.f.symbol
        if not s["image_start"] <= leaf.va < s["image_end"] or leaf.hpa != self.m.hpa(leaf.va):
            return "outside the image, or the wrong frame"
        if leaf.executable != (leaf.va < s["text_end"]) or leaf.writable != (leaf.va >= s["rodata_end"]):
            return "not the rights its section has"
        return None

    def in_cpu_area(self, leaf):
        cpu, at = divmod(leaf.va - self.macro["HV_CPU_AREA"], self.macro["HV_CPU_STRIDE"])
        if any(first <= leaf.va < end for first, end in self.stacks(cpu)):
            return None if set(leaf.frames()) <= self.hv_chunks else "a stack that is not hv's frame"
        small = leaf.size == PAGE and at // PAGE - 2 * MIB // PAGE in range(self.macro["WINDOWS"])
        if not small and not (leaf.size == 2 * MIB and at == 4 * MIB):
            return "neither a stack nor a window"
        return None if cpu in self.in_hv else "a window is open while its CPU is not in hv"

    def in_device_area(self, leaf):
        if leaf.hpa < self.m.ram_end or not leaf.entry & PCD:
            return "RAM, or cached, where device registers belong"
        return None

    def in_direct_map(self, leaf):
        return None if self.m.hpa(leaf.va) == leaf.hpa and set(leaf.frames()) <= self.hv_chunks else "not a chunk of hv's in its place"

    def wrong(self, leaf):
        if leaf.user:
            return "a user page"
        if leaf.executable and leaf.va < self.macro["HV_IMAGE_BASE"]:
            return "executable"
        if leaf.va >= self.macro["HV_DEVICE_AREA"]:
            return self.in_device_area(leaf)
        if leaf.va >= self.macro["HV_IMAGE_BASE"]:
            return self.in_image(leaf)
        if leaf.va >= self.macro["HV_CPU_AREA"]:
            return self.in_cpu_area(leaf)
        return self.in_direct_map(leaf)

    def is_window(self, leaf):
        return self.macro["HV_CPU_AREA"] <= leaf.va < self.macro["HV_IMAGE_BASE"] and (leaf.va - self.macro["HV_CPU_AREA"]) % self.macro["HV_CPU_STRIDE"] >= 2 * MIB

    def holes_in_guards(self, leaves, cpus):
        mapped = {leaf.va for leaf in leaves}
        found = []
        for cpu in range(cpus):
            for first, end in self.stacks(cpu):
                if first - PAGE in mapped:
                    found.append(f"the guard page under CPU {cpu}'s stack at {first:x} is mapped")
                if not all(va in mapped for va in range(first, end, PAGE)):
                    found.append(f"CPU {cpu} has no stack at {first:x}")
        return found


# ---- everything together ----

class Audit:
    """All findings about one dump. in_hv: numbers of the CPUs that were executing hv's own code."""

    def __init__(self, machine, in_hv=()):
        self.m, self.macro = machine, machine.facts.macro
        self.found = []
        self.chunks, self.image = machine.hv_frames()
        self.root = machine.u64(machine.facts.symbol["hv_pml4"])
        self.hv, self.tables = machine.walk(self.root, first=UPPER_HALF)
        self.programs = {p["id"]: p for p in machine.list("prog", "progs") if p["as.root"]}
        self.vms = {v["id"]: v for v in machine.list("vm", "vms") if not v["dead"]}
        self.leaves, self.nested, self.ram = {}, {}, {}
        for number, p in self.programs.items():
            self.leaves[number], tables = machine.walk(p["as.root"], last=UPPER_HALF)
            self.tables |= tables
        for number, v in self.vms.items():
            self.nested[number], tables = machine.walk(v["npt.root"], v["npt.levels"])
            self.ram[number], more = machine.mem_frames(v["slots"][machine.facts.enum["HV_SLOT_RAM"]])
            self.tables |= tables | more
        self.half = Half(machine, self.chunks, self.image, in_hv)
        self.check_hv()
        for number, p in self.programs.items():
            self.check_program(number, p)
        self.check_sharing()
        for number in self.vms:
            self.check_nested(number)

    def say(self, who, what):
        self.found.append(f"{who}: {what}")

    def check_hv(self):
        if any(e & PRESENT for e in self.m.table(self.m.hpa(self.root))[:UPPER_HALF]):
            self.say("hv", "its own root maps something in the lower half")
        for leaf in self.hv:
            wrong = self.half.wrong(leaf)
            if wrong:
                self.say("hv", f"{wrong}: {leaf}")
        self.found += both_writable_and_executable(self.hv)
        self.found += self.half.holes_in_guards(self.hv, len(self.m.cpus()))
        self.check_guest_memory("hv", [leaf for leaf in self.hv if not self.half.is_window(leaf)], self.ram)
        roots = {self.m.hpa(r) for r in [self.root] + [p["as.root"] for p in self.programs.values()]}
        for cpu in self.m.cpus():
            if cpu["loaded_cr3"] not in roots:
                self.say("hv", f"CPU {cpu['apic_id']} has loaded a root that is nobody's: {cpu['loaded_cr3']:x}")

    def check_guest_memory(self, who, leaves, vms):
        for number in vms:
            for leaf in leaves:
                if not self.ram[number].isdisjoint(leaf.frames()):
                    self.say(who, f"reaches the RAM of VM {number}: {leaf}")

    def foreign_vms(self, p):
        return [number for number, v in self.vms.items() if v.va != p["vm"]]

    def check_program(self, number, p):
        who, leaves = f"program {number}", self.leaves[number]
        upper, hv = (self.m.table(self.m.hpa(r))[UPPER_HALF:] for r in (p["as.root"], self.root))
        if any((a ^ b) & ~(ACCESSED | DIRTY) for a, b in zip(upper, hv)):
            self.say(who, "its upper half is not hv's")
        for wrong in unfit_for_program(leaves, self.macro):
            self.say(who, wrong)
        # The control kernel maps guests' memory; nothing else of its own may lie there.
        self.check_guest_memory(who, leaves if p["vm"] else [leaf for leaf in leaves if not leaf.entry & 1 << 52], self.foreign_vms(p))
        granted = {f for m in self.m.mappings(p) if m["mem"] for f in self.m.mem_frames(m["mem"])[0]}
        info = self.m.hpa(p["info"]) // PAGE
        for leaf in leaves:
            wrong = self.wrong_owner(leaf, granted, info)
            if wrong:
                self.say(who, f"{wrong}: {leaf}")

    def wrong_owner(self, leaf, granted, info):
        frames = set(leaf.frames())
        symbol = self.m.facts.symbol
        if not frames.isdisjoint(self.tables):
            return "a page table"
        if leaf.hpa >= self.m.ram_end:
            return None if leaf.entry & PCD else "device registers, cached"
        if frames <= granted or (frames == {info} and not leaf.writable):
            return None
        if frames <= self.image:
            first, end = (self.m.hpa(symbol[s]) // PAGE for s in ("image_ctrl", "image_vmm_end"))
            return "hv's image" if leaf.writable or not frames <= set(range(first, end)) else None
        if not frames.isdisjoint(self.chunks):
            return "hv's frame"
        return "a frame that is not its own, of no object it mapped" if leaf.entry & 1 << 52 else None

    def check_sharing(self):
        """A program's own frames (not of objects) are nobody else's; and W^X for frames, over all tables but the nested."""
        owner = {}
        for number, leaves in self.leaves.items():
            for leaf in leaves:
                for f in leaf.frames() if not leaf.entry & 1 << 52 else ():
                    if owner.setdefault(f, number) != number:
                        self.say(f"program {number}", f"a frame of program {owner[f]}: {leaf}")
        everything = [leaf for leaves in self.leaves.values() for leaf in leaves] + [leaf for leaf in self.hv if not self.half.is_window(leaf)]
        self.found += physically_writable_and_executable(everything)

    def check_nested(self, number):
        mine, who = self.ram[number], f"VM {number}"
        for leaf in self.nested[number]:
            if not set(leaf.frames()) <= mine:
                self.say(who, f"reaches what is not its RAM: {leaf}")
        if {f for leaf in self.nested[number] for f in leaf.frames()} != mine:
            self.say(who, "not all of its RAM is there")
        for other in self.ram:
            if other != number and not self.ram[other].isdisjoint(mine):
                self.say(who, f"shares RAM with VM {other}")
        if not self.tables.isdisjoint(mine):
            self.say(who, "its RAM holds page tables")


# ---- taking a dump ----

def cpus_in_hv(host, facts):
    """-> ({number of each CPU whose next instruction is hv's}, the registers of all as text)."""
    texts = re.split(r"^CPU#\d+", host.monitor("info registers -a"), flags=re.M)[1:]
    inside = set()
    for number, text in enumerate(texts):
        rip, cpl = int(re.search(r"RIP=(\w+)", text)[1], 16), int(re.search(r"CPL=(\d)", text)[1])
        if cpl == 0 and facts.symbol["image_start"] <= rip < facts.symbol["text_end"]:
            inside.add(number)
    return inside, texts


def snapshot(host, facts, mem):
    host.monitor("stop")
    dump = host.dir / "memory"
    inside, texts = cpus_in_hv(host, facts)
    host.monitor(f'pmemsave 0 {mem * MIB} "{dump}"')
    host.monitor("cont")
    assert dump.stat().st_size == mem * MIB
    machine = Machine(facts, dump)
    dump.unlink()
    return machine, inside, texts


def idle_snapshot(host, facts, mem):
    for _ in range(50):
        time.sleep(0.1)
        machine, inside, texts = snapshot(host, facts, mem)
        if inside == {0, 1}:
            return machine, inside, texts
    raise AssertionError("the CPUs of an idle machine should wait in hv")


def audited(host, facts, mem):
    machine, inside, _ = snapshot(host, facts, mem)
    audit = Audit(machine, inside)
    assert not audit.found, "\n".join(audit.found[:40])
    return audit


# ---- the running machine ----

LINUX = {"vcpus": 2, "memory": "128MiB", "boot": {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=ttyS0 quiet"}}
SPIN = {"vcpus": 1, "memory": "16MiB", "boot": {"kernel": "spin"}}
RAM = 768


def start(api, name, spec):
    api.post("/v1/vms", {"name": name, **spec})
    api.post(f"/v1/vms/{name}/actions/start")


def control_registers(texts):
    for text in texts:
        cr0, cr4 = (int(re.search(rf"{r}=(\w+)", text)[1], 16) for r in ("CR0", "CR4"))
        efer = int(re.search(r"EFER=(\w+)", text)[1], 16)
        assert cr0 & CR0_WP and cr4 & CR4_SMEP and cr4 & CR4_SMAP and efer & EFER_NXE, text


@pytest.fixture(scope="module")
def facts():
    return Facts(BUILD / "hv.debug")


@pytest.fixture(scope="module")
def busy(facts):
    """Audited while idle, while guests boot, while they run, and after one has gone; the last dump with all running."""
    with Host(mem=RAM, smp=2, limit=300) as h:
        api = h.ready().api
        machine, inside, texts = idle_snapshot(h, facts, RAM)
        control_registers(texts)
        assert not Audit(machine, inside).found
        for name, file in (("vmlinuz", KERNEL), ("initrd", INITRD), ("spin", BUILD / "guests" / "spin")):
            api.upload(name, file)
        start(api, "spin-a", SPIN)
        start(api, "linux-a", LINUX)
        start(api, "linux-b", LINUX)
        audited(h, facts, RAM)
        for name in ("linux-a", "linux-b"):
            api.wait_console(name, "guest userspace up", 120)
        start(api, "spin-b", SPIN)
        machine, inside, _ = snapshot(h, facts, RAM)
        api.post("/v1/vms/linux-a/actions/stop")
        start(api, "spin-c", SPIN)
        after = audited(h, facts, RAM)
        assert sorted(v.text("name") for v in after.vms.values()) == ["linux-b", "spin-a", "spin-b", "spin-c"]
        yield machine, inside


def test_walls_stand(busy):
    audit = Audit(*busy)
    assert not audit.found, "\n".join(audit.found[:40])


def test_dump_is_of_a_busy_machine(busy, facts):
    """The audit saw what it is meant to see: five programs, four VMs with all their RAM, and tables for each."""
    audit = Audit(*busy)
    names = {v.text("name"): number for number, v in audit.vms.items()}
    assert sorted(names) == ["linux-a", "linux-b", "spin-a", "spin-b"]
    assert len(audit.ram[names["linux-a"]]) * PAGE == 128 * MIB and len(audit.ram[names["spin-b"]]) * PAGE == 16 * MIB
    images = sorted(p["image"] for p in audit.programs.values())
    assert images == [facts.enum["HV_IMAGE_CTRL"]] + 4 * [facts.enum["HV_IMAGE_VMM"]]
    for p in audit.programs.values():
        mine = {f for leaf in audit.leaves[p["id"]] for f in leaf.frames()}
        served = [number for number, v in audit.vms.items() if v.va == p["vm"]]
        assert all(audit.ram[number] <= mine for number in served), "a vmm maps its VM's RAM"
        assert served or p["image"] == facts.enum["HV_IMAGE_CTRL"]
    assert len(audit.hv) > 50 and len(audit.tables) > 20


# ---- the audit itself must be able to fail ----

def slot_of(machine, root_va, va, size):
    """Physical address of the entry that maps va."""
    table = machine.hpa(root_va)
    for shift in (39, 30, 21, 12):
        at = table + (va >> shift & 511) * 8
        e = struct.unpack_from("<Q", machine.memory, at)[0]
        if 1 << shift == size:
            return at
        assert e & PRESENT and not (shift < 39 and e & LARGE)
        table = e & 0x000ffffffffff000
    raise AssertionError("no such size")


class Change:
    """Damages the dump for as long as the `with` lasts."""

    def __init__(self, machine, at, value):
        self.machine, self.at, self.value = machine, at, value

    def __enter__(self):
        self.before = struct.unpack_from("<Q", self.machine.memory, self.at)[0]
        struct.pack_into("<Q", self.machine.memory, self.at, self.value(self.before))

    def __exit__(self, *_):
        struct.pack_into("<Q", self.machine.memory, self.at, self.before)


def pointing_to(frame):
    return lambda e: e & ~0x000ffffffffff000 | frame * PAGE


def scene(machine):
    """Entries to damage: name -> (root, leaf)."""
    audit = Audit(machine, {0, 1})
    m, ctrl = machine.facts.macro, next(p for p in audit.programs.values() if p["image"] == machine.facts.enum["HV_IMAGE_CTRL"])
    spin_a = next(v for v in audit.vms.values() if v.text("name") == "spin-a")
    vmm = next(p for p in audit.programs.values() if p["vm"] == spin_a.va)
    stack = next(leaf for leaf in audit.leaves[vmm["id"]] if leaf.va == m["HV_VA_STACK_TOP"] - PAGE)
    text = next(leaf for leaf in audit.leaves[vmm["id"]] if leaf.executable)
    heap = next(leaf for leaf in audit.leaves[ctrl["id"]] if leaf.writable and not leaf.entry & 1 << 52)
    hv_text = next(leaf for leaf in audit.hv if leaf.executable)
    direct = next(leaf for leaf in audit.hv if leaf.size == 2 * MIB and leaf.va < m["HV_CPU_AREA"])
    nested = audit.nested[spin_a["id"]][-1]
    return audit, ctrl, vmm, spin_a, {"stack": stack, "text": text, "heap": heap, "hv_text": hv_text, "direct": direct, "nested": nested}


def damages(machine):
    """-> [(what, where, how, a word of the finding it must give)]"""
    audit, ctrl, vmm, spin_a, leaf = scene(machine)
    other = next(number for number, v in audit.vms.items() if v.text("name") == "linux-b")
    alien = min(audit.ram[other] - set(range(0, 512)))
    large = next(n.hpa // PAGE for n in audit.nested[other] if n.size == 2 * MIB)
    table = machine.hpa(audit.root) // PAGE

    def at(root, name):
        return slot_of(machine, root, leaf[name].va, leaf[name].size)
    m = machine.facts.macro
    guard = slot_of(machine, audit.root, m["HV_CPU_AREA"], PAGE)
    root, low = machine.hpa(vmm["as.root"]), slot_of(machine, vmm["as.root"], 0, 2 * MIB)
    return [
        ("a program's stack becomes executable", at(vmm["as.root"], "stack"), lambda e: e & ~NX, "writable and executable"),
        ("a program's text becomes writable", at(vmm["as.root"], "text"), lambda e: e | WRITE, "writable"),
        ("hv's text becomes writable", at(audit.root, "hv_text"), lambda e: e | WRITE, "rights"),
        ("hv's data becomes executable", at(audit.root, "direct"), lambda e: e & ~NX, "executable"),
        ("ctrl's heap is a guest's page", at(ctrl["as.root"], "heap"), pointing_to(alien), "reaches the RAM"),
        ("a vmm's stack is another guest's page", at(vmm["as.root"], "stack"), pointing_to(alien), "reaches the RAM"),
        ("ctrl's heap is a page table", at(ctrl["as.root"], "heap"), pointing_to(table), "a page table"),
        ("two programs share a frame", at(vmm["as.root"], "stack"), pointing_to(leaf["heap"].hpa // PAGE), "a frame of program"),
        ("ctrl's heap is hv's data", at(ctrl["as.root"], "heap"), pointing_to(machine.hpa(machine.facts.symbol["rodata_end"]) // PAGE), "hv's image"),
        ("hv maps a guest", at(audit.root, "direct"), pointing_to(large), "reaches the RAM"),
        ("a guest reaches another", slot_of(machine, spin_a["npt.root"], leaf["nested"].va, leaf["nested"].size), pointing_to(large), "not its RAM"),
        ("a guard page is mapped", guard, lambda e: leaf["direct"].hpa | PRESENT | WRITE | NX, "guard page"),
        ("page zero is mapped", low, lambda e: struct.unpack_from("<Q", machine.memory, low + 8)[0], "below 2 MiB"),
        ("hv's half is another", root + 8 * 511, lambda e: e ^ 1 << 12, "upper half"),
    ]


def test_audit_finds_damage(busy):
    machine, inside = busy
    missed = []
    for what, at, how, word in damages(machine):
        with Change(machine, at, how):
            try:
                found = Audit(machine, inside).found
            except (IndexError, struct.error) as e:  # a table led out of the dump
                found = [f"lost in the tables: {e}"]
        if not any(word in f for f in found):
            missed.append(f"{what}: found only {found[:3]}")
    assert not missed, "\n".join(missed)
    assert not Audit(machine, inside).found, "each damage was undone"


def made_up(entries):
    """A machine of four tables, one for each level, at frames 0..3; the page is frame 7 at entry 5 of each level."""
    tables = [[0] * 512 for _ in range(4)]
    for level, e in enumerate(entries):
        tables[level][5] = e | (level + 1 if level < 3 else 7) * PAGE
    return walk(lambda hpa: tables[hpa // PAGE], 0)


def test_walker():
    all_rights = PRESENT | WRITE | USER
    va = sum(5 << shift for shift in (39, 30, 21, 12))
    leaves, tables = made_up([all_rights] * 4)
    assert leaves == [Leaf(va, 7 * PAGE, PAGE, True, True, True, all_rights | 7 * PAGE)] and tables == {0, 1, 2, 3}
    assert both_writable_and_executable(leaves) and physically_writable_and_executable(leaves)
    for level in range(4):
        rights = [all_rights] * 4
        rights[level] = PRESENT | USER
        assert not both_writable_and_executable(made_up(rights)[0]), "one level without W is enough"
        rights[level] = all_rights | NX
        assert not both_writable_and_executable(made_up(rights)[0]), "so is one with NX"
        rights[level] = PRESENT | WRITE
        assert not made_up(rights)[0][0].user
        rights[level] = 0
        assert made_up(rights)[0] == []
    large = made_up([all_rights, all_rights, all_rights | LARGE | 0x200 * PAGE, 0])[0]
    assert [(leaf.size, leaf.hpa % (2 * MIB)) for leaf in large] == [(2 * MIB, 0)]
    assert walk(lambda hpa: [0] * 511 + [all_rights | LARGE] if hpa else [0] * 511 + [all_rights | PAGE], 0)[0][0].va == 0xffffffffc0000000
