# SPDX-License-Identifier: BSD-2-Clause
"""Partition tables and signatures as Debian's own tools make them."""
import re
import subprocess

import pytest
from hostbuild import ROOT, build

PATH = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}


def blank(path, mib=8):
    with path.open("wb") as f:
        f.truncate(mib << 20)
    return path


def look(path, sector=512):
    r = subprocess.run([build(ROOT / "tests/lvm/parttool.c"), str(sector), path], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr[-2000:]
    return r.stdout


def run(*command, text=None):
    subprocess.run([str(c) for c in command], input=text, text=True, capture_output=True, check=True, env=PATH, timeout=60)


def partitions(path):
    """{number: (start, sectors)} as sfdisk reads them."""
    dump = subprocess.run(["sfdisk", "-d", path], capture_output=True, text=True, check=True, env=PATH).stdout
    return {int(n): (int(a), int(b)) for n, a, b in re.findall(r"disk(\d+) : start= *(\d+), size= *(\d+)", dump)}


def test_sgdisk(tmp_path):
    disk = blank(tmp_path / "disk")
    run("sgdisk", "-n", "1:2048:4095", "-n", "3:4096:0", "-t", "3:8e00", "-c", "3:Größe", disk)
    out = look(disk)
    assert "table gpt primary good backup good used primary" in out and "signature GPT partition table" in out
    for number, (start, count) in partitions(disk).items():
        assert re.search(rf"^{number} {start} {count}\b", out, re.M), out
    assert " lvm Größe" in out
    with disk.open("r+b") as f:
        f.seek(512)
        f.write(bytes(512))
    assert "primary absent backup good used backup" in look(disk) and " lvm Größe" in look(disk)


@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_sfdisk(tmp_path, label):
    disk = blank(tmp_path / "disk")
    lvm = "8e" if label == "dos" else "E6D6D379-F507-44C2-A23C-238F2A3DF928"
    more = "6144,8192,5\n6208,1000,83\n7500,2000,8e\n" if label == "dos" else f"6144,2000,{lvm}\n"
    run("sfdisk", "-q", disk, text=f"label: {label}\n2048,1024\n4096,1024,{lvm}\n{more}")
    out = look(disk)
    assert f"table {'mbr' if label == 'dos' else 'gpt'}" in out
    found = partitions(disk)
    assert len(found) == (5 if label == "dos" else 3)
    for number, (start, count) in found.items():
        if (start, count) != (6144, 8192):  # the extended one holds others
            assert re.search(rf"^{number} {start} {count}\b", out, re.M), out
    assert out.count(" lvm") == 2
    assert f"signature {'MBR' if label == 'dos' else 'GPT'} partition table" in out


@pytest.mark.parametrize("command, name", [
    ("mkfs.ext2 -q -F disk", "ext2 file system"), ("mkfs.ext3 -q -F disk", "ext3 file system"), ("mkfs.ext4 -q -F disk", "ext4 file system"),
    ("mkswap disk", "swap space"), ("mformat -i disk ::", "FAT file system"), ("mformat -F -i disk ::", "FAT file system"),
    ("xorriso -as mkisofs -quiet -o disk tree", "ISO 9660 file system")])
def test_signatures(tmp_path, command, name):
    disk = blank(tmp_path / "disk", 40)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=True, env=PATH, timeout=60)
    assert f"signature {name}\n" in look(disk)


def test_blank(tmp_path):
    assert "signature none" in look(blank(tmp_path / "disk"))
