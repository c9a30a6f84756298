# SPDX-License-Identifier: BSD-2-Clause
"""hv's memory as somebody outside the machine sees it: a dump of physical memory, read with what the debug information of
hv.debug says about hv's structs, and a walker for every page table in it. Nothing of hv's own code is used."""
import mmap
import re
import struct
import subprocess
import tempfile
from typing import NamedTuple

from host import BUILD, ROOT

PAGE = 4096
ENTRIES = 512
UPPER_HALF = 256  # first entry of hv's half in a root
PRESENT, WRITE, USER, PCD, ACCESSED, DIRTY, LARGE, NX = 1, 2, 4, 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 63
BORROWED = 1 << 52  # hv/mm/pt.c: the frame belongs to somebody else
ADDRESS = 0x000ffffffffff000

FIELDS = {
    "prog": ["as.root", "next", "id", "image", "info", "vm", "mappings"],
    "vm": ["npt.root", "npt.levels", "next", "id", "name", "slots", "dead"],
    "mem": ["frames.root", "frames.levels", "pages", "flags"],
    "mapping": ["va", "pages", "mem"],
    "cpu": ["apic_id", "loaded_cr3", "windows_open"],
    "chunk_table": ["chunks", "n_chunks"],
    "chunk": ["state"],
}
SYMBOLS = ["progs", "vms", "hv_pml4", "cpus", "n_cpus", "chunk_table", "image_ctrl", "image_vmm_end", "image_start", "text_end",
           "rodata_end", "image_end"]
ENUMS = ["CHUNK_HV", "HV_SLOT_RAM", "HV_IMAGE_CTRL", "HV_IMAGE_VMM"]
HEADERS = ["hv/mm/layout.h", "hv/mm/init.h", "hv/mm/window.h", "hv/abi/hv_abi.h", "hv/prog/prog.h"]


class Leaf(NamedTuple):
    va: int
    hpa: int
    size: int
    writable: bool  # these three: what all levels together allow
    user: bool
    executable: bool
    entry: int

    def frames(self):
        return range(self.hpa // PAGE, (self.hpa + self.size) // PAGE)

    def __str__(self):
        rights = "r" + "-w"[self.writable] + "-x"[self.executable] + "-u"[self.user]
        return f"{self.va:x}..{self.va + self.size:x} {rights} -> {self.hpa:x}"


def canonical(va):
    return va | 0xffff000000000000 if va & 1 << 47 else va


def walk(table_at, root, levels=4, first=0, last=ENTRIES):
    """-> (leaves, frame numbers of the tables). table_at(hpa): a table's 512 entries; first, last: entries of the root to follow."""
    leaves, tables = [], {root // PAGE}

    def descend(table, level, base, rights, entries):
        shift = 12 + 9 * level
        content = table_at(table)
        for i in entries:
            e = content[i]
            if not e & PRESENT:
                continue
            va, now = base + (i << shift), e & rights & (WRITE | USER) | (e | rights) & NX
            if level == 0 or (e & LARGE and level <= 2):
                hpa = e & ADDRESS & ~((1 << shift) - 1)
                leaves.append(Leaf(canonical(va), hpa, 1 << shift, bool(now & WRITE), bool(now & USER), not now & NX, e))
                continue
            tables.add((e & ADDRESS) // PAGE)
            descend(e & ADDRESS, level - 1, va, now, range(ENTRIES))

    descend(root, levels - 1, 0, WRITE | USER, range(first, last))
    return leaves, tables


class Facts:
    """Addresses, struct offsets and constants of one build."""

    def __init__(self, debug=BUILD / "hv.debug"):
        lines = [f'printf "S {s} %lu 0\\n", (unsigned long)&{s}' for s in SYMBOLS] + [f'printf "E {e} %lu 0\\n", (unsigned long){e}' for e in ENUMS]
        for name, fields in FIELDS.items():
            lines.append(f'printf "F {name}. 0 %lu\\n", sizeof(struct {name})')
            for f in fields:
                member = f"((struct {name} *)0)->{f}"
                lines.append(f'printf "F {name}.{f} %lu %lu\\n", (unsigned long)&{member}, sizeof({member})')
        with tempfile.NamedTemporaryFile("w", suffix=".gdb") as script:
            script.write("\n".join(lines))
            script.flush()
            out = subprocess.run(["gdb", "-batch", "-nx", "-x", script.name, str(debug)], capture_output=True, text=True)
        rows = [line.split() for line in out.stdout.splitlines() if line[:2] in ("S ", "E ", "F ")]
        assert len(rows) == len(lines), f"{debug} does not tell what the audit must know: {out.stderr[-500:]}"
        self.symbol = {name: int(value) for kind, name, value, _ in rows if kind == "S"}
        self.enum = {name: int(value) for kind, name, value, _ in rows if kind == "E"}
        self.field = {name: (int(at), int(size)) for kind, name, at, size in rows if kind == "F"}
        text = "".join((ROOT / h).read_text() for h in HEADERS).replace("\\\n", "")
        self.macro = {name: int(value, 0) for name, value in re.findall(r"^#define (HV_\w+|WINDOWS|\w+_PAGES|MAPPINGS_PER_PAGE)\s+(0x[0-9a-f]+|\d+)u?l*\b", text, re.M)}


class View:
    """A struct of hv in the dump: view["field"] is a number, or a list of them when the field is larger than one."""

    def __init__(self, machine, kind, va):
        self.machine, self.kind, self.va = machine, kind, va

    def place(self, field):
        at, size = self.machine.facts.field[f"{self.kind}.{field}"]
        return self.machine.hpa(self.va + at), size

    def __getitem__(self, field):
        at, size = self.place(field)
        if size <= 8:
            return int.from_bytes(self.machine.memory[at:at + size], "little")
        return list(struct.unpack_from(f"<{size // 8}Q", self.machine.memory, at))

    def text(self, field):
        at, size = self.place(field)
        return self.machine.memory[at:at + size].split(b"\0")[0].decode()


class Machine:
    """A dump. It is a private copy: tests may change it."""

    def __init__(self, facts, path):
        self.facts = facts
        with open(path, "rb") as f:
            self.memory = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
        self.ram_end = len(self.memory)

    def hpa(self, va):
        """hv's image and direct map are linear."""
        image, direct = self.facts.macro["HV_IMAGE_BASE"], self.facts.macro["HV_DIRECT"]
        return va - image if va >= image else va - direct

    def u64(self, va):
        return struct.unpack_from("<Q", self.memory, self.hpa(va))[0]

    def table(self, hpa):
        return struct.unpack_from("<512Q", self.memory, hpa)

    def walk(self, root_va, levels=4, first=0, last=ENTRIES):
        return walk(self.table, self.hpa(root_va), levels, first, last)

    def list(self, kind, head):
        at = self.u64(self.facts.symbol[head])
        while at:
            item = View(self, kind, at)
            yield item
            at = item["next"]

    def cpus(self):
        n = self.u64(self.facts.symbol["n_cpus"]) & 0xffffffff
        return [View(self, "cpu", self.u64(self.facts.symbol["cpus"] + 8 * i)) for i in range(n)]

    def mappings(self, prog):
        """What the program asked for with MEM_MAP and MMIO_MAP."""
        size = self.facts.field["mapping."][1]
        for page in filter(None, prog["mappings"]):
            for i in range(self.facts.macro["MAPPINGS_PER_PAGE"]):
                m = View(self, "mapping", page + i * size)
                if m["pages"]:
                    yield m

    def mem_frames(self, mem_va):
        """-> (frame numbers of a memory object, those of its table)."""
        mem = View(self, "mem", mem_va)
        leaves, tables = self.walk(mem["frames.root"], mem["frames.levels"])
        frames = {f for leaf in leaves for f in leaf.frames()}
        assert len(frames) == mem["pages"], "a memory object's frames are counted as they are"
        return frames, tables

    def hv_frames(self):
        """Frames of the chunks hv owns, and of its image."""
        f, table = self.facts, View(self, "chunk_table", self.facts.symbol["chunk_table"])
        size, frames = f.field["chunk."][1], set()
        for i in range(table["n_chunks"]):
            if View(self, "chunk", table["chunks"] + i * size)["state"] == f.enum["CHUNK_HV"]:
                frames.update(range(i * ENTRIES, (i + 1) * ENTRIES))
        image = range(self.hpa(f.symbol["image_start"]) // PAGE, self.hpa(f.symbol["image_end"]) // PAGE)
        return frames, set(image)
