# SPDX-License-Identifier: BSD-2-Clause
"""The rules of the house, checked: format, include arrows, length of files and functions, licence line, cppcheck."""
import re
import subprocess
from pathlib import Path

import pytest
from hostbuild import ROOT

FILES = [Path(f) for f in subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True).stdout.split()]
C = sorted(f for f in FILES if f.suffix in (".c", ".h") and (ROOT / f).exists())
OURS = [f for f in C if f.parts[0] in ("hv", "ctrl-kernel", "drivers", "net")]
CODE = sorted(f for f in FILES if f.suffix in (".c", ".h", ".S", ".py", ".sh", ".ld", ".mk", ".asl") and (ROOT / f).exists())
FILE_LINES, FUNCTION_LINES = 800, 60

# Who may include whom (docs/architecture.md). A folder may include itself, what is named here, and hv/abi.
HV = ["hv/lib", "hv/mm hv/cpu", "hv/plat", "hv/sched", "hv/vcpu", "hv/vm", "hv/prog", "hv/boot"]
RING3 = {
    "ctrl-kernel/rt": [],
    "ctrl-kernel/loop": ["ctrl-kernel/rt"],
    "ctrl-kernel/vmm": ["ctrl-kernel/rt", "ctrl-kernel/loop"],
    "ctrl-kernel/vmm/virtio": ["ctrl-kernel/rt", "ctrl-kernel/loop", "ctrl-kernel/vmm"],
    "drivers": ["ctrl-kernel/rt", "ctrl-kernel/loop", "net/nic.h", "net/virtio_header.h", "net/frame.h", "net/checksum.h"],
    "net": ["ctrl-kernel/rt", "ctrl-kernel/loop"],
    "ctrl-kernel/blk": ["ctrl-kernel/rt"],
    "ctrl-kernel/blk/lvm": ["ctrl-kernel/rt", "ctrl-kernel/blk"],
    "ctrl-kernel/blk/part": ["ctrl-kernel/rt", "ctrl-kernel/blk"],
    "ctrl-kernel/storage": ["ctrl-kernel/rt", "ctrl-kernel/loop", "drivers", "ctrl-kernel/blk", "ctrl-kernel/blk/lvm", "ctrl-kernel/blk/part"],
    "ctrl-kernel/backend": ["ctrl-kernel/rt", "ctrl-kernel/loop", "drivers/blkdev.h", "net/nic.h", "net/switch.h", "net/virtio_header.h", "ctrl-kernel/vmm/vmm_abi.h", "ctrl-kernel/vmm/io_area.h"],
    "ctrl-kernel/ops": ["ctrl-kernel/rt", "ctrl-kernel/loop", "ctrl-kernel/storage", "ctrl-kernel/blk", "ctrl-kernel/blk/lvm", "ctrl-kernel/blk/part", "drivers/blkdev.h", "drivers/disks.h", "drivers/driver.h", "net/net.h", "net/nic.h", "net/netconf.h", "net/switch.h", "net/ipaddr.h", "net/uplink.h", "net/nat.h", "net/dhcpd.h", "ctrl-kernel/vmm/vmm_abi.h", "ctrl-kernel/vmm/io_area.h", "ctrl-kernel/vmm/console_area.h", "ctrl-kernel/backend"],
    "ctrl-kernel/api": ["ctrl-kernel/rt", "ctrl-kernel/loop", "net/net.h", "net/nic.h", "net/switch.h", "net/uplink.h", "net/nat.h", "ctrl-kernel/ops"],
    "ctrl-kernel": ["ctrl-kernel/rt", "ctrl-kernel/loop", "drivers", "net/net.h", "net/netconf.h", "net/nic.h", "ctrl-kernel/ops", "ctrl-kernel/api"],
}
# Third-party headers and the one folder that may know them.
THIRD = {"lwip/": "net", "netif/": "net", "cJSON": "ctrl-kernel/api", "llhttp": "ctrl-kernel/api", "mbedtls/": "ctrl-kernel/ops net"}


def allowed(folder):
    if folder in RING3:
        return RING3[folder] + [folder, "hv/abi"]
    for level, group in enumerate(HV):
        if folder in group.split():
            return [d for g in HV[: level + 1] for d in g.split()] + ["hv/abi", folder]
    return ["hv/abi", folder]


# hv/boot.h is the loader's word, hv/cpu's entry code knows the program's registers: named exceptions with their reason.
EXCEPTIONS = {
    ("hv/prog", "hv/boot/boot.h"): "prog_start_ctrl takes the boot modules",
}


def includes(path):
    return re.findall(r'^#\s*include\s+[<"]([^>"]+)[>"]', (ROOT / path).read_text(), re.M)


def test_include_arrows():
    wrong = []
    for f in OURS:
        folder = str(f.parent)
        for inc in includes(f):
            for third, owner in THIRD.items():
                if inc.startswith(third) and folder not in owner.split() and not folder.startswith(tuple(owner.split())):
                    wrong.append(f"{f}: only {owner} may include <{inc}>")
            if "/" not in inc or not (ROOT / inc).exists():
                continue
            if not any(inc == a or inc.startswith(a + "/") and (a in inc) and str(Path(inc).parent) == a for a in allowed(folder)) and (folder, inc) not in EXCEPTIONS:
                wrong.append(f"{f}: may not include {inc}")
    assert not wrong, "\n".join(wrong)


def test_headers_compile_alone():
    wrong = []
    for f in [f for f in OURS if f.suffix == ".h" and not f.name.startswith(("lwipopts", "cc", "mbedtls_config"))]:
        extra = ["-Ibuild/deps/src/lwip/src/include", "-Inet", "-Ibuild/deps/src/cjson", "-Ibuild/deps/src/mbedtls/include",
                 "-Ibuild/deps/src/nghttp2/third-party/llhttp/include"]
        r = subprocess.run(["gcc", "-std=gnu11", "-I.", *extra, "-fsyntax-only", "-x", "c", str(f)], cwd=ROOT, capture_output=True, text=True)
        if r.returncode:
            wrong.append(r.stderr[:500])
    assert not wrong, "\n".join(wrong)


def test_format():
    r = subprocess.run(["clang-format-14", "--dry-run", "-Werror"] + [str(f) for f in C], cwd=ROOT, capture_output=True, text=True)
    bad = sorted({line.split(":")[0] for line in r.stderr.splitlines() if "clang-format-violations" in line})
    assert r.returncode == 0, "clang-format -i " + " ".join(bad)


def functions(path):
    """(name, lines) of each function: a line that opens a body at column 0 to the brace that closes it at column 0."""
    name, start = None, 0
    for n, line in enumerate((ROOT / path).read_text().split("\n"), 1):
        if line == "{" and name:
            start = n
        elif line.startswith("}") and start:
            yield name, n - start - 1
            name, start = None, 0
        elif not start and re.match(r"^[A-Za-z_].*\(", line):
            name = line.split("(")[0].split()[-1].lstrip("*")


def test_lengths():
    wrong = []
    for f in [f for f in C if "seeds" not in f.parts]:
        lines = (ROOT / f).read_text().count("\n")
        if lines > FILE_LINES:
            wrong.append(f"{f}: {lines} lines (limit {FILE_LINES})")
        wrong += [f"{f}: {name}() has {n} lines (limit {FUNCTION_LINES})" for name, n in functions(f) if n > FUNCTION_LINES]
    assert not wrong, "\n".join(wrong)


def test_licence_lines():
    wrong = [str(f) for f in CODE if "SPDX-License-Identifier: BSD-2-Clause" not in "\n".join((ROOT / f).read_text().split("\n")[:3])]
    assert not wrong, "no SPDX line: " + " ".join(wrong)


def test_no_stray_words():
    """No absolute paths of a machine, no unnumbered to-dos."""
    wrong = []
    for f in CODE:
        for n, line in enumerate((ROOT / f).read_text().split("\n"), 1):
            if re.search(r"/(home|root|work)/", line) and f.name != "test_lint.py" or re.search(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))", line) and f.name != "test_lint.py":
                wrong.append(f"{f}:{n}: {line.strip()[:80]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", ["hv", "ctrl-kernel", "drivers", "net"])
def test_cppcheck(folder):
    r = subprocess.run(["cppcheck", "-q", "--std=c11", "--enable=warning,portability", "--inline-suppr", "--error-exitcode=1", "-I.", "-j2",
                        "--suppressions-list=tests/cppcheck.txt", folder], cwd=ROOT, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr[-5000:]


def test_python_scripts_compile():
    for f in [f for f in CODE if f.suffix == ".py"]:
        compile((ROOT / f).read_text(), str(f), "exec")


def test_shell_scripts_parse():
    for f in [f for f in CODE if f.suffix == ".sh"]:
        subprocess.run(["bash", "-n", str(f)], cwd=ROOT, check=True)
