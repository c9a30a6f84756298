# SPDX-License-Identifier: BSD-2-Clause
"""What tests/guests/vendor prints, and where two machines may differ in it: a reason each, those of the vendors standing in
docs/support.md word for word."""
import re

# What may differ because the machines' CPUs do: which features they have, what they are called, how their caches are.
HOST = {
    r"cpuid 0000000[0-4d]\.\d+": "the host CPU's name, signature, features and caches",
    r"cpuid 00000007\.0": "the host CPU's features",
    r"cpuid 40000010\.0": "the host's TSC frequency",
    r"cpuid 800000..\.\d+": "the host CPU's name, features and caches",
    r"insn (rdrand|rdseed|xsavec|xgetbv 1|clac|invpcid|invpcid bad|rdfsbase|wbnoinvd)": "instructions that only one of the CPUs has",
    r"bits cr4": "bits of features that only one of the CPUs has",
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
LOOSE = {r"bits (cr0|cr3|cr4)|insn invd": "not tried on Bochs' ryzen, which panics or takes what it then refuses"}


def seen(text):
    """The guest's lines as a dictionary; a range of MSRs is one entry each."""
    out = {}
    for line in re.findall(r"\[vendor\] (.*)", text):
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
    patterns = [re.compile(p + r"$") for table in allowed for p in table]
    return {k: (a.get(k), b.get(k)) for k in sorted(a.keys() | b.keys())
            if a.get(k) != b.get(k) and not any(p.match(k) for p in patterns)}


# Feature bits that may be shown at all (hv/vm/cpuid.c says why): register by register, eax ebx ecx edx; None: not features.
SHOWN = {
    "cpuid 00000001.0": (None, None, 0xfffa3203, 0x178bebff),
    "cpuid 00000007.0": (1, 0xf1bf07a9, 0x18005f46, 0x00004410),
    "cpuid 40000001.0": (0x0100080b, 0, 0, 0),
    "cpuid 80000001.0": (None, None, 0x006109e3, 0xefd3fbff),
}


def too_much(a):
    """Feature bits that are shown and should not be."""
    out = {}
    for leaf, masks in SHOWN.items():
        words = [int(w, 16) for w in a.get(leaf, "0 0 0 0").split()]
        extra = [w & ~m if m is not None else 0 for w, m in zip(words, masks)]
        if any(extra):
            out[leaf] = [f"{e:x}" for e in extra]
    return out
