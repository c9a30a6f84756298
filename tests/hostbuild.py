# SPDX-License-Identifier: BSD-2-Clause
"""Builds a host program (unit test or fuzz target) from the sources it names in `// SRC:` lines, when it is stale."""
import hashlib
import os
import re
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("SOCLE_BUILD", ROOT / "build"))
UNIT = ["gcc", "-std=gnu11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wall", "-Wextra",
        "-Wno-unused-parameter", "-Wno-sign-compare", "-Werror"]
FUZZ = ["clang-14", "-std=gnu11", "-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", "-w"]


def described(test):
    text = test.read_text()
    sources = [str(f.relative_to(ROOT)) if "*" in name else name for line in re.findall(r"^// SRC: *(.*)", text, re.M) for name in line.split()
               for f in (sorted(ROOT.glob(name)) if "*" in name else [ROOT / name])]
    flags = [f for line in re.findall(r"^// FLAGS: *(.*)", text, re.M) for f in shlex.split(line)]
    return sources, flags


def fresh(target, dep):
    """Nothing that went into target is newer than it."""
    if not target.exists() or not dep.exists():
        return False
    built = target.stat().st_mtime
    names = [ROOT / n for n in dep.read_text().replace("\\\n", " ").split()[1:]]
    return all(n.exists() and n.stat().st_mtime <= built for n in names)


def run(command):
    r = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if r.returncode:
        raise AssertionError(f"{' '.join(command)}\n{r.stderr[-6000:]}")


def compile_one(src, base, out):
    """An object serves every program that wants the same source with the same flags; two at a time may make it."""
    flags = base + (["-w"] if src.startswith("build/") else [])
    key = hashlib.sha256(repr([src] + flags).encode()).hexdigest()[:12]
    obj = out / "obj" / f"{src.replace('/', '_')}.{key}.o"
    dep = obj.with_suffix(".d")
    if not fresh(obj, dep):
        new = obj.with_suffix(f".{os.getpid()}")
        run(flags + ["-MD", "-MF", str(dep), "-MT", "x:", "-c", src, "-o", str(new)])
        new.rename(obj)
    return obj


def build(test, fuzz=False):
    """-> path of the program; raises with the compiler's words."""
    test = Path(test)
    sources, flags = described(test)
    out = BUILD / ("fuzz" if fuzz else "unit")
    (out / "obj").mkdir(parents=True, exist_ok=True)
    binary = out / test.stem
    base = (FUZZ if fuzz else UNIT) + ["-I.", "-DHOST_TEST"] + flags
    objects = [compile_one(src, base, out) for src in [str(test.relative_to(ROOT))] + sources]
    stamp = binary.with_suffix(".objects")
    words = repr([str(o) for o in objects])
    if not (binary.exists() and stamp.exists() and stamp.read_text() == words
            and all(o.stat().st_mtime <= binary.stat().st_mtime for o in objects)):
        run(base + ["-o", str(binary)] + [str(o) for o in objects] + ([] if fuzz else ["-lcmocka"]))
        stamp.write_text(words)
    return binary
