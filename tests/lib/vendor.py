# SPDX-License-Identifier: BSD-2-Clause
"""What tests/guests/vendor prints, and where two machines may differ in it: a reason each, those of the vendors standing in
docs/support.md word for word."""
import re

# Feature bits: (of the host's these are shown and no others, these are there always), for eax ebx ecx edx; None: not features.
# hv/vm/cpuid.c says why. With two vCPUs. AMD: more in that leaf there.
FEATURES = {
    "cpuid 00000001.0": (None, None, (0x76da3203, 0x81200000), (0x078bebff, 0x10000200)),
    "cpuid 00000007.0": ((0x00000001, 0), (0xf1bf07a9, 0), (0x18005f46, 0), (0x00004410, 0)),
    "cpuid 40000001.0": ((0, 0x0100080b), (0, 0), (0, 0), (0, 0)),
    "cpuid 80000001.0": (None, (0xf0000000, 0), (0x006109e1, 0), (0xefd3ebff, 0)),
}
AMD = {"cpuid 80000001.0": (0, 0, 2, 0)}  # CMP_LEGACY
# What an instruction raises with and without a feature: (leaf, register, bit, with, without).
NEEDS = {
    "insn rdrand": ("cpuid 00000001.0", 2, 30, "-1", "6"),
    "insn rdseed": ("cpuid 00000007.0", 1, 18, "-1", "6"),
    "insn clac": ("cpuid 00000007.0", 1, 20, "-1", "6"),
    "insn invpcid": ("cpuid 00000007.0", 1, 10, "-1", "6"),
    "insn invpcid bad": ("cpuid 00000007.0", 1, 10, "13", "6"),
    "insn xgetbv": ("cpuid 00000001.0", 2, 26, "-1", "6"),
    "insn rdtscp": ("cpuid 80000001.0", 3, 27, "-1", "6"),
    "insn clzero": ("cpuid 80000008.0", 1, 0, "-1", "6"),
}
# CR4: bits that every guest can change, and those that belong to a feature.
CR4 = 0x7df
CR4_NEEDS = {11: ("cpuid 00000007.0", 2, 2), 16: ("cpuid 00000007.0", 1, 0), 17: ("cpuid 00000001.0", 2, 17),
             18: ("cpuid 00000001.0", 2, 26), 20: ("cpuid 00000007.0", 1, 7), 21: ("cpuid 00000007.0", 1, 20)}
# What may differ because the machines' CPUs do; what depends on features is checked against those by inconsistent().
HOST = {
    r"cpuid 0000000[0-4d]\.\d+": "the host CPU's name, signature, features and caches",
    r"cpuid 00000007\.0": "the host CPU's features",
    r"cpuid 40000010\.0": "the host's TSC frequency",
    r"cpuid 800000..\.\d+": "the host CPU's name, features and caches",
    r"insn (xsavec|xgetbv 1)": "forms that are not shown and that no extension can intercept: as the CPU has them",
    "|".join(NEEDS): "instructions of features",
    r"bits cr4": "bits of features",
}
# What is the vendors' own.
VENDOR = {
    r"insn clzero": "CLZERO exists on AMD CPUs only",
    r"insn (xsaves|xrstors)": "XSAVES and XRSTORS are not shown; on AMD CPUs that have them they work all the same, on Intel they are #UD",
    r"bits efer": "EFER.FFXSR exists on AMD CPUs only",
    r"msr 0000008b": "the microcode level (MSR 8b) reads 01000065 on AMD and 1 << 32 on Intel",
    r"msr c0000084": "SFMASK takes bits 63:32 on AMD, they are #GP on Intel",
    r"msr c001....": "AMD's own MSRs (c001xxxx) that systems touch without asking read as constants on AMD and are #GP on Intel",
}
# What one of the emulators gets wrong, or was not asked for that reason ("loose" in main.c).
TCG = {
    r"bits (cr0|cr3|cr4|dr7|efer)": "taken without a check",
    r"insn (umonitor|tpause|xbegin|ltr 0|sysenter|sysexit|int1|lock mov|read far by rbp|xsaves|xrstors|invd)": "not as the CPU it plays",
    r"msr 0000017[56]|msr c000008[234]|msr c000010[0-3]": "addresses are taken without a check",
}
KEPT = {r"bits cr0": "PE and PG are not tried on Bochs' ryzen, which panics"}


def seen(text):
    """The guest's lines as a dictionary; a range of MSRs is one entry each."""
    out = {}
    for line in re.findall(r"^(?:\[ *[\d.]+\] \[vendor\] )?((?:start|cpuid|bits|insn|hypercall|xapic|msr)\b.*)", text, re.M):
        m = re.match(r"(msr|xapic) (\w{8})-(\w{8}) (.*)", line)
        if m:
            for n in range(int(m[2], 16), int(m[3], 16) + 1):
                out[f"{m[1]} {n:08x}"] = m[4]
        elif ": " in line:
            key, _, value = line.partition(": ")
            out[key] = value
        else:
            words = line.split()
            out[" ".join(words[:2])] = " ".join(words[2:])
    return out


def differences(a, b, *allowed):
    """Keys whose values differ and that no table explains."""
    patterns = [re.compile(rf"(?:{p})$") for table in allowed for p in table]
    return {k: (a.get(k), b.get(k)) for k in sorted(a.keys() | b.keys())
            if a.get(k) != b.get(k) and not any(p.match(k) for p in patterns)}


def words(view, leaf):
    return [int(w, 16) for w in view.get(leaf, "0 0 0 0").split()]


def wrong_features(native, view):
    """Leaves that show another set of features than the bare machine's, cut down to those meant to be shown."""
    out = {}
    amd = words(native, "cpuid 00000000.0")[1] == 0x68747541  # "Auth"
    for leaf, masks in FEATURES.items():
        for i, mask in enumerate(masks):
            if mask is None:
                continue
            want = words(native, leaf)[i] & mask[0] | mask[1] | (AMD.get(leaf, [0] * 4)[i] if amd else 0)
            if words(view, leaf)[i] != want:
                out[f"{leaf} word {i}"] = f"{words(view, leaf)[i]:08x}, not {want:08x}"
    return out


def inconsistent(view, loose):
    """Instructions and CR4 bits that do not go with the features shown; loose: as far as QEMU's TCG minds (it has no RDSEED bit)."""
    def has(leaf, register, bit):
        return words(view, leaf)[register] >> bit & 1

    out = {}
    for name, (leaf, register, bit, with_it, without) in NEEDS.items():
        if not (loose and name == "insn rdseed") and view[name] != (with_it if has(leaf, register, bit) else without):
            out[name] = view[name]
    stays = CR4 | sum(1 << bit for bit, feature in CR4_NEEDS.items() if has(*feature))
    if not loose and view["bits cr4"] != f"{~stays & (1 << 64) - 1:016x} {stays:016x}":
        out["bits cr4"] = view["bits cr4"]
    return out
