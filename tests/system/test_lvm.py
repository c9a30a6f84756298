# SPDX-License-Identifier: BSD-2-Clause
"""Volume groups with Debian's lvm2: what is written here it takes, and what it writes is read, under Debian's kernel with real volumes."""
import hashlib
import re
import subprocess

import lvmguest
import pytest
from hostbuild import ROOT, build

MIB = 1 << 20


class Disks:
    """Files, seen through the code under test (tests/lvm/lvmtool.c) and through pvck."""

    def __init__(self, folder, sector=512):
        self.folder, self.sector = folder, sector
        self.tool = build(ROOT / "tests/lvm/lvmtool.c")

    def make(self, name, mib=64):
        path = self.folder / name
        with path.open("wb") as f:
            f.truncate(mib * MIB)
        return path

    def call(self, disks, *words, ok=True):
        r = subprocess.run([self.tool, str(self.sector), ",".join(str(d) for d in disks), *map(str, words)], capture_output=True, text=True, timeout=60)
        assert (r.returncode == 0) == ok, r.stdout[-2000:] + r.stderr[-2000:]
        return r.stdout if ok else r.stderr


def pvck(disk, what):
    r = subprocess.run(["pvck", "--dump", what, str(disk)], capture_output=True, text=True, timeout=60, env={"LVM_SUPPRESS_FD_WARNINGS": "1", "PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    assert r.returncode == 0 and not re.search(r"\b(CHECK|WARN\w*|[Ff]ailed|invalid|bad)\b", r.stdout + r.stderr), r.stdout + r.stderr
    return r.stdout


def filled(word, sectors):
    """What `lvmtool fill` puts into a volume, hashed: each sector begins with the word and its number."""
    h = hashlib.md5()
    for n in range(sectors):
        h.update(f"{word} {n}\n".encode().ljust(512, b"\0"))
    return h.hexdigest()


def volumes(text):
    """-> {name: line} of `lvmtool show`"""
    return {line.split()[1]: line for line in text.split("\n") if line.startswith("lv ")}


@pytest.fixture
def disks(tmp_path):
    return Disks(tmp_path)


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize("areas", [1, 2])
def test_pvck(tmp_path, sector, areas):
    """Headers, the ring and its texts, after enough changes to go round."""
    d = Disks(tmp_path, sector)
    pair = [d.make("a"), d.make("b")]
    d.call(pair, "create", "vg", areas)
    for n in range(12):
        d.call(pair, "lvcreate", "vg", f"lv{n}", 1)
    d.call(pair, "delete", "vg", "lv3")
    d.call(pair, "rename", "vg", "lv4", "other")
    d.call(pair, "resize", "vg", "other", 9)
    third = d.make("c")
    d.call([*pair, third], "extend", "vg")
    for disk in [*pair, third]:
        headers = pvck(disk, "headers")
        assert "seqno 17" in headers and "pv_header_extension.flags 1" in headers
        assert len(re.findall("metadata text at", headers)) == (areas if disk != third else 1)
        assert "seqno 17" in pvck(disk, "metadata_search")
    text = pvck(pair[0], "metadata")
    assert d.call([*pair, third], "text", "vg").strip() in text


OURS = """
lvm vgck vg4k; echo vgck $?
lvm vgchange -ay vg4k
md5sum /dev/vg4k/one
mount -o ro /dev/vg4k/two /mnt && cat /mnt/file
lvm lvs --noheadings --units s -o lv_name,lv_size,segtype vg4k
"""


def make_fs(folder, mib):
    (folder / "tree").mkdir()
    (folder / "tree/file").write_text("from the file\n")
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-b", "4096", "-d", folder / "tree", folder / "ext4", f"{mib}M"], check=True, capture_output=True, timeout=60)


def test_sectors_of_4096(tmp_path):
    """A group on disks with sectors of 4096 bytes: made here, checked, activated, read and mounted there."""
    d = Disks(tmp_path, 4096)
    pair = [d.make("a"), d.make("b")]
    d.call(pair, "create", "vg4k", 1)
    d.call(pair, "lvcreate", "vg4k", "one", 10)
    d.call(pair, "lvcreate", "vg4k", "two", 10)
    d.call(pair, "resize", "vg4k", "one", 12)
    d.call(pair, "fill", "vg4k", "one", "first")
    make_fs(d.folder, 10 * 4)
    d.call(pair, "put", "vg4k", "two", d.folder / "ext4")
    out = lvmguest.run(OURS, pair, tmp_path, sector=4096)
    assert "vgck 0" in out and "WARNING" not in out, out
    assert f"{filled('first', 12 * 8192)}  /dev/vg4k/one" in out, out
    assert "from the file" in out, out
    assert re.search(r"one +98304S linear", out), out


# Long tags make the text long, so that few changes take it to the ring's end; it stops where a text goes round.
THEIRS = """
lvm vgck vg; echo vgck $?
lvm vgchange -ay vg
md5sum /dev/vg/one
lvm lvcreate -l 2 -n debian vg
lvm lvextend -l +1 vg/one
lvm vgchange -an vg
lvm <<X
pvcreate $(disk 2) $(disk 3)
vgcreate deb $(disk 2) $(disk 3)
lvcreate -l 3 -n lin deb
lvcreate -i 2 -l 4 -n str deb
lvcreate --type raid1 -m 1 -l 2 -n r1 deb
lvcreate -s -l 2 -n snap deb/lin
lvcreate --type thin-pool -l 2 -n pool deb
lvcreate -V 32M -T deb/pool -n thin1
lvcreate -l 22 -n both deb
X
T=$(head -c 1000 /dev/zero | tr '\\0' x)
for k in 1 2 3 4; do
	tags=
	for i in $(seq 1 20); do tags="$tags --addtag $T$k$i"; done
	lvm vgchange $tags deb
done
for i in $(seq 1 60); do
	lvm vgchange --addtag t$i deb >/dev/null
	lvm pvck --dump headers $(disk 2) >/mnt/headers
	[ $(($(sed -n 's/.*_1.raw_locn.0..offset //p' /mnt/headers) + $(sed -n 's/.*_1.raw_locn.0..size //p' /mnt/headers))) -gt 1044480 ] && break
done
echo linear >/mnt/word; dd if=/mnt/word of=/dev/deb/lin conv=notrunc
echo mirrored >/mnt/word; dd if=/mnt/word of=/dev/deb/r1 conv=notrunc
echo striped >/mnt/word; dd if=/mnt/word of=/dev/deb/str bs=512 seek=200 conv=notrunc
echo thin >/mnt/word; dd if=/mnt/word of=/dev/deb/thin1 conv=notrunc
sync
lvm vgchange -an deb
"""

BACK = """
for g in vg deb; do lvm vgck $g; echo vgck $g $?; done
lvm vgchange -ay vg deb
for v in lin r1 thin1 snap; do echo "$v: $(head -n 1 /dev/deb/$v)"; done
md5sum /dev/vg/one /dev/deb/ours
lvm lvs -a --noheadings -o lv_name,segtype,lv_attr,lv_health_status deb
lvm lvremove -y deb/thin1 deb/snap
lvm vgck deb; echo vgck after $?
"""


def check_read(d, their):
    """Everything that Debian made is shown; what is not simple is refused by name."""
    shown = d.call(their, "show")
    assert "vg deb" in shown and "read-only" not in shown
    assert len(re.findall(r"area 4096\+1044480 text \d+\+\d+ wrapped state 3", shown)) == 2, shown
    lvs = volumes(shown)
    for name, kind in {"r1": "raid1", "pool": "thin-pool", "thin1": "thin", "snap": "snapshot"}.items():
        assert f"{name} {kind}" in lvs[name] and f"refused: volume {name} is of type {kind}" in lvs[name]
    assert "used by volume snapshot0" in lvs["lin"]
    assert "str striped 4 supported" in lvs["str"] and "both linear 22 supported" in lvs["both"]
    assert "pv0:" in shown.split("lv both")[1].split("lv ")[0] and "pv1:" in shown.split("lv both")[1].split("lv ")[0]


def test_both_ways(disks, tmp_path):
    """Debian changes a group made here, and makes one with every kind; it is changed here; Debian checks and activates all of it."""
    ours, their = [disks.make("a"), disks.make("b")], [disks.make("c", 96), disks.make("d", 96)]
    disks.call(ours, "create", "vg", 1)
    disks.call(ours, "lvcreate", "vg", "one", 20)
    disks.call(ours, "fill", "vg", "one", "before")
    out = lvmguest.run(THEIRS, [*ours, *their], tmp_path)
    assert "vgck 0" in out and f"{filled('before', 20 * 8192)}  /dev/vg/one" in out, out

    lvs = volumes(disks.call(ours, "show"))
    assert "one linear 21 supported" in lvs["one"] and "debian linear 2 supported" in lvs["debian"]
    disks.call(ours, "delete", "vg", "debian")
    disks.call(ours, "fill", "vg", "one", "after")
    check_read(disks, their)
    assert "refused" not in disks.call(their, "lvcreate", "deb", "ours", 2)
    for name in ("r1", "pool", "thin1", "snap", "lin"):
        assert name in disks.call(their, "delete", "deb", name, ok=False)
    disks.call(their, "resize", "deb", "both", 20)
    disks.call(their, "fill", "deb", "ours", "mine")
    for disk in their:
        pvck(disk, "headers")

    out = lvmguest.run(BACK, [*ours, *their], tmp_path)
    for words in ("vgck vg 0", "vgck deb 0", "lin: linear", "r1: mirrored", "thin1: thin", "vgck after 0"):
        assert words in out, out
    assert f"{filled('after', 21 * 8192)}  /dev/vg/one" in out and f"{filled('mine', 2 * 8192)}  /dev/deb/ours" in out, out
