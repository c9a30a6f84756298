# SPDX-License-Identifier: BSD-2-Clause
"""A Debian 12 made with debootstrap lives on a volume: it boots from it, installs a package from a server over the network, survives
reset, the death of the control kernel and the host's power switch with automatic start; on virtio-blk, NVMe and AHCI drives in turn."""
import http.server
import os
import re
import subprocess
import threading
import time

import pytest
from host import BUILD, ROOT, Host

FILES = BUILD / "debian"
OPTIONS = "ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 test.hooks=1"
MIB = 1 << 20
PROMPT = "root@debian"
DRIVES = {
    "virtio": ["-device", "virtio-blk-pci,drive=d0,addr=4"],
    "nvme": ["-device", "nvme,drive=d0,serial=n0,addr=4"],
    "ahci": ["-device", "ich9-ahci,id=sata,addr=4", "-device", "ide-hd,drive=d0,bus=sata.0"],
}
VM = {"name": "debian", "vcpus": 2, "memory": "512MiB", "autostart": True,
      "boot": {"kernel": "debian-kernel", "initrd": "debian-initrd", "cmdline": "root=/dev/vda console=ttyS0 quiet"},
      "disks": [{"pool": "p", "volume": "debian"}], "nics": [{"network": "default"}]}


@pytest.fixture(scope="module")
def debian():
    subprocess.run([ROOT / "tools" / "getdebian.sh", FILES], check=True, timeout=900)
    return FILES


@pytest.fixture(scope="module")
def repository(debian):
    """A package server on loopback."""
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=debian / "repository")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 8099), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def machine(path, kind):
    extra = ["-drive", f"file={path},if=none,id=d0,format=raw", *DRIVES[kind]]
    return Host(OPTIONS, nic="virtio-net-pci", mem=1536, extra=extra, limit=900)


def upload_sparse(api, path, file):
    """Only what is not a hole."""
    sent, size = 0, os.path.getsize(file)
    with open(file, "rb") as f:
        at = 0
        while True:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                return sent
            end = min(os.lseek(f.fileno(), at, os.SEEK_HOLE), at + 32 * MIB)
            data = os.pread(f.fileno(), end - at, at)
            status, _, body = api.raw("PUT", path, data, {"Content-Range": f"bytes {at}-{end - 1}/{size}"})
            assert status in (200, 204), body
            sent += len(data)
            at = end


class Shell:
    def __init__(self, api, vm):
        self.api, self.vm, self.n = api, vm, 0

    def up(self, since=0, timeout=240):
        self.api.wait_console(self.vm, PROMPT, timeout, since)

    def run(self, command, timeout=60):
        self.n += 1
        _, at = self.api.console(self.vm)
        self.api.raw("POST", f"/v1/vms/{self.vm}/console", f"{command}; echo done'-'{self.n}-$?-\n".encode())
        text = self.api.wait_console(self.vm, f"done-{self.n}-", timeout, at)
        while not re.search(rf"done-{self.n}-\d+-", text):
            time.sleep(0.1)
            text = self.api.console(self.vm, at)[0].decode(errors="replace")
        assert f"done-{self.n}-0-" in text, text
        return text


def position(api):
    return api.console("debian")[1]


def reset(api, shell):
    at = position(api)
    api.post("/v1/vms/debian/actions/reset")
    shell.up(at)


def first_life(api, debian):
    disk = api.get("/v1/disks")["items"][0]["name"]
    api.post("/v1/pools", {"name": "p", "disks": [disk]})
    size = os.path.getsize(debian / "root.ext4")
    api.post("/v1/pools/p/volumes", {"name": "debian", "bytes": size})
    began = time.monotonic()
    sent = upload_sparse(api, "/v1/pools/p/volumes/debian/content", debian / "root.ext4")
    print(f"uploaded {sent // MIB} MiB in {time.monotonic() - began:.0f} s")
    for name, file in (("debian-kernel", "vmlinuz"), ("debian-initrd", "initrd.img")):
        api.upload(name, debian / file)
        job = api.post(f"/v1/images/{name}/actions/store", {"pool": "p"})
        while job["state"] == "running":
            job = api.get(f"/v1/operations/{job['id']}?wait=10")
        assert job["state"] == "succeeded", job
    api.post("/v1/vms", VM)
    api.post("/v1/vms/debian/actions/start")


def check_fs(shell):
    assert "clean" in shell.run("dumpe2fs -h /dev/vda 2>/dev/null | grep -i 'filesystem state'")
    shell.run("! dmesg | grep -iE 'EXT4-fs error|I/O error|soft lockup|rcu.*stall'")


def test_debian(debian, repository, tmp_path):
    disk = tmp_path / "disk"
    with disk.open("wb") as f:
        f.truncate(1536 * MIB)
    with machine(disk, "virtio") as h:
        api = h.ready().api
        first_life(api, debian)
        shell = Shell(api, "debian")
        shell.up()
        shell.run("until cut -f2 /proc/net/route | grep -q 00000000; do sleep 1; done", 60)
        shell.run("apt-get -q update && apt-get -qy install tree", 180)
        shell.run("tree --version && dd if=/dev/urandom of=/srv/data bs=1M count=8 && sha256sum /srv/data >/srv/sum && sync")
        reset(api, shell)
        shell.run("tree --version && sha256sum -c /srv/sum")
        check_fs(shell)
        shell.run("sync")
        h.kill()
    for kind in ("nvme", "ahci"):
        with machine(disk, kind) as h:
            api = h.ready().api
            shell = Shell(api, "debian")
            deadline = time.monotonic() + 60
            while not api.get("/v1/vms")["items"]:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            api.wait_state("debian", "running", 60)  # by itself
            shell.up()
            shell.run("tree --version && sha256sum -c /srv/sum")
            check_fs(shell)
            # Written to while control kernels end.
            shell.run("(dd if=/srv/data of=/srv/copy bs=4k oflag=direct; cmp /srv/data /srv/copy && echo same >/srv/result) >/dev/null 2>&1 & true")
            for instance in (2, 3):  # a third within a minute is refused
                try:
                    api.post("/v1/host/control/restart")
                except OSError:
                    pass  # the answer went with the instance
                h.serial.wait(rf"instance {instance} of the control kernel is started[\s\S]*management ready.*\n", 60)
            shell.run("wait; grep same /srv/result && rm /srv/copy /srv/result && sync", 120)
            at = position(api)
            api.raw("POST", "/v1/vms/debian/console", b"poweroff\n")  # nobody there listens to the power button
            api.wait_state("debian", "stopped", 90)
            assert "switched itself off" in api.get("/v1/vms/debian")["reason"]["detail"]
            assert at < position(api)
            h.kill()
