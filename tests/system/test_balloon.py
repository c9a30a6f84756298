# SPDX-License-Identifier: BSD-2-Clause
"""A guest's memory comes back to the host: balloon, reporting, statistics, with Debian's driver (docs/devices.md)."""
import re
import time

import pytest
from host import INITRD, KERNEL, Host, Problem
from test_save import act
from test_virtio import Shell

OPTIONS = "ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 test.hooks=1"
MIB = 1 << 20
SPEC = {"name": "g", "vcpus": 2, "memory": "192MiB", "boot": {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=ttyS0 quiet"}}


@pytest.fixture(scope="module")
def machine():
    with Host(options=OPTIONS, mem=448, smp=2, limit=1200) as h:
        h.ready()
        h.api.upload("vmlinuz", KERNEL)
        h.api.upload("initrd", INITRD)
        yield h
        print(h.serial.text[-4000:])


@pytest.fixture
def h(machine):
    """Each test leaves none of its VMs, and all the memory there was."""
    before = machine.api.get("/v1/host")
    yield machine
    machine.api.remove_vms()
    after = machine.api.get("/v1/host")
    assert after["objects"] == before["objects"]
    assert abs(after["memory"]["free"] - before["memory"]["free"]) < 4 * MIB


def memory(h, vm="g"):
    return h.api.get(f"/v1/vms/{vm}/stats")["memory"]


def free(h):
    return h.api.get("/v1/host")["memory"]["free"]


def target(h, size, vm="g"):
    return h.api.call("PATCH", f"/v1/vms/{vm}", {"memory_target": size})


def wait(what, timeout=40):
    deadline = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.2)


def test_down_and_up(h):
    """The target goes down: the host has as much more. It goes up: the guest has it again, and what it writes there holds."""
    h.api.start_linux(SPEC)
    g = Shell(h)
    wait(lambda: memory(h)["guest"])
    before, held = free(h), memory(h)["held"]
    target(h, "96MiB")
    wait(lambda: memory(h)["balloon"] == 96 * MIB)
    now = memory(h)
    assert now["held"] <= 96 * MIB and now["target"] == 96 * MIB
    assert free(h) - before > held - now["held"] - 4 * MIB  # but for page tables
    assert h.api.get("/v1/vms/g")["memory_target"] == 96 * MIB
    target(h, 0)
    wait(lambda: memory(h)["balloon"] == 0)
    holds(g, 64)
    assert memory(h)["held"] > 96 * MIB


def inflated(h, size="96MiB", **changes):
    """-> its shell, when the balloon is as large as was asked for."""
    h.api.start_linux({**SPEC, **changes})
    target(h, size)
    wait(lambda: memory(h)["balloon"] == memory(h)["ram"] - memory(h)["target"])
    return Shell(h)


FILL = "mount -t tmpfs -o size=150m t /tmp; dd if=/dev/urandom of=/tmp/a bs=1M count={n} 2>/dev/null; md5sum </tmp/a; cat /tmp/a | md5sum"


def holds(shell, megabytes):
    first, second = re.findall(r"[0-9a-f]{32}", shell.run(FILL.format(n=megabytes), 60))
    assert first == second


def test_reporting(h):
    """Without any target: what a guest does not need any more it gives back by itself, and takes again."""
    h.api.start_linux(SPEC)
    g = Shell(h)
    holds(g, 64)
    full = memory(h)["held"]
    assert memory(h)["balloon"] == 0
    g.run("rm /tmp/a")
    wait(lambda: memory(h)["held"] < full - 48 * MIB)
    before = free(h)
    holds(g, 64)
    assert before - free(h) > 32 * MIB


def test_admission(h):
    """What a target leaves out is for others; what was only reported is not."""
    h.api.start_linux(SPEC)
    wait(lambda: memory(h)["held"] < 172 * MIB, 60)
    other = {**SPEC, "name": "o", "memory": f"{free(h) // MIB - 12}MiB"}
    h.api.post("/v1/vms", other)
    with pytest.raises(Problem) as e:
        h.api.post("/v1/vms/o/actions/start")
    assert e.value.status == 409 and e.value.body["code"] == "no_memory"
    target(h, "96MiB")
    wait(lambda: memory(h)["balloon"] == 96 * MIB)
    h.api.post("/v1/vms/o/actions/start")
    h.api.wait_console("o", "guest userspace up", 60)


def test_exhausted(h):
    """Memory ends while a guest takes back what it gave: the VM is paused and says why; with memory it goes on, and has lost nothing."""
    inflated(h)
    size = free(h) - 24 * MIB
    h.api.post("/v1/pools/ram/volumes", {"name": "hog", "bytes": size // (4 * MIB) * (4 * MIB)})
    target(h, 0)
    position = h.api.console("g")[1]
    h.api.raw("POST", "/v1/vms/g/console", (FILL.format(n=96) + "; echo fil$((1+1))led\n").encode())
    paused = h.api.wait_state("g", "paused", 60)
    assert paused["reason"]["code"] == "no_memory" and "balloon" in paused["reason"]["detail"]
    assert h.api.get("/v1/host")["memory"]["free"] >= 4 * MIB - 256 * 1024
    h.api.post("/v1/vms/g/actions/resume")  # still none
    h.api.wait_state("g", "paused", 30)
    h.api.delete("/v1/pools/ram/volumes/hog")
    h.api.post("/v1/vms/g/actions/resume")
    text = h.api.wait_console("g", "fil2led", 60, since=position)
    first, second = re.findall(r"[0-9a-f]{32}", text)
    assert first == second


def test_restarts(h):
    """The control kernel and the vmm end while the balloon goes down and up."""
    h.api.start_linux({**SPEC, "nics": [{"network": "default"}]})
    g = Shell(h)
    instance = h.api.get("/v1/host")["control"]["instance"]
    for size in ("96MiB", 0):
        target(h, size)
        time.sleep(0.3)
        h.api.post("/v1/host/control/restart")
        instance += 1
        h.serial.wait(rf"instance {instance} of the control kernel[\s\S]*management ready", 30)
        h.api.post("/v1/vms/g/actions/test-crash-vmm")
        wait(lambda: memory(h)["balloon"] == (96 * MIB if size else 0))
    holds(g, 64)


def test_saved(h):
    """What a guest had given back is not in the file, takes no memory while it is written, and is not the guest's when it is restored."""
    g = inflated(h)
    assert "ready" in g.run("mount -t tmpfs t /tmp; dd if=/dev/urandom of=/tmp/a bs=1M count=8 2>/dev/null; md5sum </tmp/a >/tmp/sum; echo ready")
    held = memory(h)["held"]
    act(h, "g", "checkpoint", "s")
    assert abs(memory(h)["held"] - held) < 16 * MIB
    h.api.post("/v1/vms/g/actions/stop")
    act(h, "g", "restore", "s")
    now = memory(h)
    assert now["held"] <= 96 * MIB and now["balloon"] == 96 * MIB
    assert "same" in g.run("md5sum </tmp/a | cmp - /tmp/sum && echo same")
    target(h, 0)
    wait(lambda: memory(h)["balloon"] == 0)
    holds(g, 64)
    h.api.delete("/v1/images/s")


ROUNDS = ("dd if=/dev/urandom of=/pattern bs=1M count=4 2>/dev/null; n=0; m=0; while :; do dd if=/pattern of=/dev/vda bs=256k oflag=direct 2>/dev/null; "
          "echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda bs=256k count=16 2>/dev/null | cmp - /pattern && n=$((n+1)); m=$((m+1)); echo round $n of $m; done &")


def test_drive(tmp_path):
    """Blocks on an NVMe drive are written and compared while the balloon goes up and down: the drive never writes into a page that has gone."""
    drive = tmp_path / "drive"
    with drive.open("wb") as f:
        f.truncate(64 * MIB)
    extra = ["-drive", f"file={drive},format=raw,if=none,id=d0", "-device", "nvme,drive=d0,serial=s0,addr=6"]
    with Host(options=OPTIONS, mem=448, extra=extra, limit=200) as h:
        h.ready()
        h.api.upload_linux()
        h.api.post("/v1/pools", {"name": "vg", "disks": [d["name"] for d in h.api.get("/v1/disks")["items"]]})
        h.api.post("/v1/pools/vg/volumes", {"name": "v", "bytes": 16 * MIB})
        h.api.start_linux({**SPEC, "vcpus": 1, "disks": [{"pool": "vg", "volume": "v"}]})
        h.api.raw("POST", "/v1/vms/g/console", f"{ROUNDS}\n".encode())
        for size in ("96MiB", 0, "112MiB", 0):
            h.api.wait_console("g", "round ", 60, since=h.api.console("g")[1])
            target(h, size)
            wait(lambda: memory(h)["balloon"] == (192 * MIB - int(size[:-3]) * MIB if size else 0))
        h.api.wait_console("g", "round ", 60, since=h.api.console("g")[1])
        rounds = re.findall(r"round (\d+) of (\d+)", h.api.console("g")[0].decode())
        assert len(rounds) > 4 and all(good == all_of for good, all_of in rounds)
        stats = h.api.get("/v1/vms/g/stats")
        assert stats["disks"][0]["errors"] == 0 and stats["disks"][0]["writes"] > 16
