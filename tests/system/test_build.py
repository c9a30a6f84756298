# SPDX-License-Identifier: BSD-2-Clause
"""The build: the same bytes in every folder, at every time and for every user (given the same key for upgrades); nothing to do the second time; no segment that is
writable and executable; a help text that names what there is."""
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from host import BUILD, ROOT

IMAGES = ["socle.elf", "socle.iso"]
# Targets for other targets, not for people.
INTERNAL = {"all", "help", "deps", "guests", "upgrades", "test-setup", "FORCE"}


def run(command, **kw):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **kw)


def export(to):
    """The tree as it is now, and the third-party code as it was fetched and built; times are kept, make looks at them."""
    to.mkdir(parents=True)
    files = run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT)
    if files.returncode:  # not a clone
        names = [p.name for p in ROOT.iterdir() if p.name != "build"]
    else:
        names = [n for n in files.stdout.splitlines() if (ROOT / n).exists()]
    tar = subprocess.Popen(["tar", "-C", ROOT, "-c", *names], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-C", to, "-x"], stdin=tar.stdout, check=True)
    assert tar.wait() == 0
    deps = to / "build" / "deps"
    deps.mkdir(parents=True)
    for part in (".fetched", "newlib", "src"):
        subprocess.run(["cp", "-a", "--reflink=auto", (BUILD / "deps").resolve() / part, deps], check=True)


def make(folder, *targets, prefix=()):
    return run([*prefix, "make", "-C", folder, "-j2", *targets])


@pytest.fixture(scope="module")
def place():
    """A folder that every user may enter; pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="socle-build-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def built(place):
    folder = place / "a"
    export(folder)
    r = make(folder)
    assert r.returncode == 0, r.stdout + r.stderr
    return folder


def state(folder):
    return {p.relative_to(folder): p.stat().st_mtime_ns for p in (folder / "build").rglob("*") if p.is_file() and "deps" not in p.parts}


def test_second_make_does_nothing(built):
    before = state(built)
    r = make(built)
    assert r.returncode == 0 and not re.findall(r"^  [A-Z]+ .*", r.stdout, re.M), r.stdout
    assert state(built) == before


def test_one_change_builds_little(built):
    os.utime(built / "hv/lib/string.c")
    steps = re.findall(r"^  ([A-Z]+) +(\S+)", make(built).stdout, re.M)
    assert [s for s in steps if s[0] in ("CC", "AS")] == [("CC", "hv/lib/string.c")], steps
    assert [s[0] for s in steps] == ["CC", "LD", "IMAGE", "ISO"], steps


def bytes_differ(a, b):
    """-> where the two files begin to differ, and how much; None: they do not."""
    r = run(["cmp", "-l", a, b])
    if r.returncode == 0:
        return None
    lines = r.stdout.splitlines()
    return f"{a.name}: {len(lines)} bytes differ, first {lines[:5]}; {r.stderr.strip()}"


def rebuilt(place, prefix=()):
    """Another folder, another depth, a second later at least, as who `prefix` says."""
    time.sleep(1.1)
    folder = place / "elsewhere" / "deeper"
    export(folder)
    shutil.copy(place / "a" / "build" / "signing.key", folder / "build")  # the image knows whose signature it takes
    if prefix:
        subprocess.run(["chown", "-R", "nobody:nogroup", folder], check=True)
    r = make(folder, *(["setup", "all"] if prefix else []), prefix=prefix)
    assert r.returncode == 0, r.stdout + r.stderr
    return folder


def test_same_bytes_elsewhere_and_for_nobody(built, place):
    """The second build is an unprivileged user's where there is one to switch to (the tests run as root)."""
    prefix = ()
    if os.geteuid() == 0:
        prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", "-i", f"PATH={os.environ['PATH']}", "HOME=/nonexistent",
                  "TZ=Asia/Tokyo", "LANG=C", "sh", "-c", 'umask 077; exec "$@"', "sh"]
    other = rebuilt(place, prefix)
    different = [d for d in (bytes_differ(built / "build" / i, other / "build" / i) for i in IMAGES) if d]
    assert not different, "\n".join(different)
    if os.geteuid() == 0:
        assert (other / "build" / "socle.iso").owner() == "nobody"


def test_missing_package_is_named(built, tmp_path):
    """On a machine that lacks one, without root and without sudo: which, what for, and what to do; nothing is tried."""
    for name in ("grep", "cut"):
        (tmp_path / name).symlink_to(shutil.which(name))
    for name, script in (("dpkg-query", '[ "$4" != cppcheck ] && echo install ok installed'), ("id", "echo 1000")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    r = run(["/bin/bash", built / "tools" / "setup.sh"], env={"PATH": str(tmp_path)})
    assert r.returncode == 1
    assert re.search(r"^  cppcheck +lint$", r.stdout, re.M) and r.stderr == "Install them as root: apt-get install cppcheck\n", r.stdout + r.stderr


def segments(file):
    """-> [(type, flags)] of an ELF file's program headers."""
    text = run(["readelf", "-lW", file]).stdout
    found = re.findall(r"^ +([A-Z_]+) +(?:0x\w+ +){5}([RWE ]{3}) ", text, re.M)
    assert found, text
    return found


@pytest.mark.parametrize("name", ["hv", "ctrl", "vmm"])
def test_no_segment_writable_and_executable(name):
    found = segments(BUILD / f"{name}.debug")
    loads = [flags for kind, flags in found if kind == "LOAD"]
    assert len(loads) >= 3 and any("E" in f for f in loads) and any("W" in f for f in loads), found
    assert not [f for _, f in found if "W" in f and "E" in f], found


def test_help_names_all_targets():
    text = run(["make", "-s", "-C", ROOT, "help"]).stdout
    files = [ROOT / "Makefile", *(ROOT / "tools" / "mk").glob("*.mk")]
    phony = {t for f in files for line in re.findall(r"^\.PHONY:(.*)", f.read_text(), re.M) for t in line.split()}
    assert set(re.findall(r"make ([a-z-]+)", text)) == phony - INTERNAL
    assert "build/socle.elf" in text and "build/socle.iso" in text
