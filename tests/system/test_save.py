# SPDX-License-Identifier: BSD-2-Clause
"""VMs are saved, restored and checkpointed: the guest goes on as if nothing had been, on another machine too; what is damaged or does not fit is
refused, and harms nobody (docs/restart.md)."""
import hashlib
import random
import re
import struct
import time
from datetime import datetime

import pytest
from host import BUILD, Host, Problem, config_file, modules

STATIC = "ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 test.hooks=1"
GUEST = {"name": "g", "vcpus": 2, "memory": "128MiB", "boot": {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=ttyS0 quiet"}}
SOAK = {"vcpus": 1, "memory": "16MiB", "boot": {"kernel": "soak"}}
PAGE = 4096
SUM_AT = 184  # of sha256 in struct saved_header (ctrl-kernel/ops/saved.h)


def finished(h, job):
    while job["state"] == "running":
        job = h.api.get(f"/v1/operations/{job['id']}?wait=10")
    return job


def act(h, vm, verb, image):
    job = finished(h, h.api.post(f"/v1/vms/{vm}/actions/{verb}", {"image": image}))
    assert job["state"] == "succeeded", job
    assert job["progress"]["done"] == job["progress"]["total"] == h.api.get(f"/v1/vms/{vm}")["memory"]
    return job


def soaked(tmp_path, smp=1, names="ab", **kwargs):
    files = modules((BUILD / "guests" / "soak", "soak"), (config_file(tmp_path, [{"name": n, **SOAK, "autostart": True} for n in names]), "socle.json"))
    return Host(options=STATIC, mem=512, smp=smp, modules=files, limit=200, **kwargs)


def rounds(h, vm):
    return max([0] + [int(r) for r in re.findall(r"round (\d+),", h.api.console(vm)[0].decode())])


def goes_on(h, vm, since=0):
    position = h.api.console(vm)[1]
    h.api.wait_console(vm, "round ", 60, since=position)
    assert "FAILED" not in h.api.console(vm, since)[0].decode()


def ask(h, vm, command, answer):
    """-> what the guest's shell says behind `answer`."""
    position = h.api.console(vm)[1]
    h.api.raw("POST", f"/v1/vms/{vm}/console", f"{command}\n".encode())
    text = h.api.wait_console(vm, answer, 30, since=position)
    time.sleep(0.2)
    return h.api.console(vm, position)[0].decode(errors="replace").split(answer, 1)[1] or text


def uptime(h, vm):
    return float(re.search(r"([\d.]+)", ask(h, vm, "echo up-$((1+1)) $(cat /proc/uptime)", "up-2"))[1])


@pytest.mark.parametrize("smp", [1, 2])
def test_again_and_again(tmp_path, smp):
    """Saved, restored and checkpointed at random moments, 30 times: a guest that checks every answer, and time, finds nothing."""
    rnd = random.Random(7)
    with soaked(tmp_path, smp) as h:
        h.ready()
        for vm in "ab":
            h.api.wait_state(vm, "running")
        for n in range(10):
            time.sleep(rnd.uniform(0, 0.2))
            act(h, "a", "save", "saved")
            vm = h.api.get("/v1/vms/a")
            assert vm["state"] == "stopped" and vm["reason"] == {"code": "saved", "detail": 'saved as "saved"'}, vm
            act(h, "a", "restore", "saved")
            assert h.api.get("/v1/vms/a")["reason"]["code"] == "restored"
            time.sleep(rnd.uniform(0, 0.1))
            act(h, "a", "checkpoint", "point")
            assert h.api.get("/v1/vms/a")["state"] == "running"
            time.sleep(rnd.uniform(0, 0.1))
            if n % 2:  # back to the checkpoint
                h.api.post("/v1/vms/a/actions/stop")
                act(h, "a", "restore", "point")
            for image in ("saved", "point"):
                h.api.delete(f"/v1/images/{image}")
        for vm in "ab":
            goes_on(h, vm)
        assert [j["id"] for j in h.api.get("/v1/operations")["items"]] == list(range(35, 4, -1))
        print(h.serial.text[-3000:])


def test_on_another_machine():
    """Linux with two vCPUs is saved, downloaded, and goes on in a machine that was switched on later."""
    with Host(options=STATIC, mem=768, limit=200) as h:
        h.ready()
        h.api.upload_linux()
        h.api.start_linux(GUEST)
        ask(h, "g", "X=kept; echo a-$((40+2))", "a-42")
        before = uptime(h, "g")
        at = time.monotonic()
        act(h, "g", "save", "state")
        status, headers, data = h.api.raw("GET", "/v1/images/state/content")
        about = h.api.get("/v1/images/state")
        assert status == 200 and len(data) == about["size"] and hashlib.sha256(data).hexdigest() == about["sha256"]
        assert len(data) < 110 << 20, "pages that are zero are not in the file"
        part = h.api.raw("GET", "/v1/images/state/content", headers={"Range": "bytes=5000-12345"})
        assert part[0] == 206 and part[2] == data[5000:12346]
        assert h.api.raw("GET", "/v1/images/state/content", headers={"Range": "bytes=-77"})[2] == data[-77:]
        assert h.api.raw("GET", "/v1/images/state/content", headers={"Range": f"bytes={len(data)}-"})[0] == 416
        assert h.api.raw("HEAD", "/v1/images/state/content")[2] == b""
    time.sleep(3)
    with Host(options=STATIC, mem=768, smp=2, limit=200) as h:
        h.ready()
        h.api.upload_linux()
        h.api.upload("state", data)
        h.api.post("/v1/vms", GUEST)
        act(h, "g", "restore", "state")
        away = time.monotonic() - at
        assert "kept-43" in ask(h, "g", "echo $((40+1))-$X-$((40+3))", "41-")
        after = uptime(h, "g")
        print(f"uptime {before} -> {after}, away for {away:.1f} s")
        assert before < after < before + away - 3, "for the guest no time has passed"
        assert "2" == re.search(r"(\d+)", ask(h, "g", "echo cpus-$((5+5)) $(grep -c ^processor /proc/cpuinfo)", "cpus-10"))[1]
        log = ask(h, "g", "dmesg | tail -n 20; echo end-$((3+3))", "dmesg")
        assert not re.search(r"unstable|stall|lockup|BUG|panic", log), log
        h.api.post("/v1/vms/g/actions/shutdown")
        h.api.wait_state("g", "stopped", 30)


def test_paused_stays_paused(tmp_path):
    with soaked(tmp_path) as h:
        h.ready()
        h.api.wait_state("a", "running")
        h.api.post("/v1/vms/a/actions/pause")
        act(h, "a", "checkpoint", "one")
        assert h.api.get("/v1/vms/a")["state"] == "paused"
        act(h, "a", "save", "two")
        act(h, "a", "restore", "two")
        assert h.api.get("/v1/vms/a")["state"] == "paused"
        h.api.post("/v1/vms/a/actions/resume")
        goes_on(h, "a")


def refused(h, verb, image, vm="a"):
    with pytest.raises(Problem) as p:
        h.api.post(f"/v1/vms/{vm}/actions/{verb}", {"image": image})
    return p.value.status, str(p.value)


def test_refused(tmp_path):
    with soaked(tmp_path) as h:
        h.ready()
        h.api.wait_state("a", "running")
        assert refused(h, "save", "soak")[0] == 409
        assert refused(h, "save", "a/b")[0] == 400
        assert refused(h, "restore", "soak")[0] == 409, "it runs"
        act(h, "a", "save", "state")
        assert refused(h, "save", "more")[0] == 409, "it does not run"
        assert "not a saved VM" in refused(h, "restore", "soak")[1]
        assert refused(h, "restore", "nothing")[0] == 404
        data = h.api.raw("GET", "/v1/images/state/content")[2]
        for name, bad, words in (("short", data[:-PAGE], "incomplete"), ("flipped", data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "damaged"),
                                 ("newer", data[:8] + struct.pack("<I", 2) + data[12:], "format 2")):
            h.api.upload(name, bad)
            status, text = refused(h, "restore", name)
            assert status == 422 and words in text, text
        h.api.post("/v1/vms", {**SOAK, "name": "large", "memory": "32MiB"})
        assert "bytes of memory" in refused(h, "restore", "state", "large")[1]
        act(h, "a", "restore", "state")
        goes_on(h, "a")
        with pytest.raises(Problem, match="no operation"):
            h.api.get("/v1/operations/99")


def resigned(data, vcpus=1):
    memory = struct.unpack_from("<Q", data, 24)[0]
    first = (2 + vcpus + 6 + -(-memory // PAGE // (8 * PAGE))) * PAGE
    zeroed = data[:SUM_AT] + bytes(32) + data[SUM_AT + 32:first]
    return data[:SUM_AT] + hashlib.sha256(zeroed).digest() + data[SUM_AT + 32:]


def test_nonsense(tmp_path):
    """Damage under a good checksum, in what hv and the vmm take over: refused, or the guest has it, and nobody else notices."""
    rnd = random.Random(11)
    ends = {"refused": 0, "crashed": 0, "running": 0, "stopped": 0}
    with soaked(tmp_path) as h:
        h.ready()
        h.api.wait_state("a", "running")
        act(h, "a", "save", "state")
        data = h.api.raw("GET", "/v1/images/state/content")[2]
        for n in range(60):
            page = rnd.choice([1, 1, 2, 2, 2, 3, 4])  # machine, vCPU, the vmm's status and state
            bad = bytearray(data)
            for _ in range(rnd.choice([1, 1, 4, 100])):
                at = page * PAGE + rnd.randrange({1: 700, 2: 1000, 3: 256, 4: 2400}[page])
                bad[at] = rnd.choice([0, 255, bad[at] ^ 1 << rnd.randrange(8), rnd.randrange(256)])
            h.api.upload("bad", resigned(bytes(bad)))
            job = finished(h, h.api.post("/v1/vms/a/actions/restore", {"image": "bad"}))
            if job["state"] == "failed":
                assert job["error"]["code"] == "bad_image" or "cannot be used" in job["error"]["detail"], job
                ends["refused"] += 1
            else:
                time.sleep(0.03)
                ends[h.api.get("/v1/vms/a")["state"]] += 1
            if h.api.get("/v1/vms/a")["state"] in ("running", "paused"):
                h.api.post("/v1/vms/a/actions/stop")
        print(ends)
        assert ends["refused"] >= 5 and ends["running"] >= 5, ends
        goes_on(h, "b")
        position = h.api.console("a")[1]
        act(h, "a", "restore", "state")
        goes_on(h, "a", position)
        print(h.serial.text[-2000:])


def test_control_kernel_dies_meanwhile(tmp_path):
    """While saving: the VM goes on. While restoring: it is stopped, and can be restored again. The operation says what happened."""
    with soaked(tmp_path) as h:
        h.ready()
        h.api.wait_state("a", "running")
        act(h, "a", "save", "state")
        job = h.api.post("/v1/vms/a/actions/restore", {"image": "state"})
        h.api.post("/v1/host/control/test-abort")
        h.serial.wait(r"instance 2 of the control kernel[\s\S]*management ready", 30)
        job = finished(h, job)
        print(job)
        if job["state"] == "failed":
            assert "restarted meanwhile" in job["error"]["detail"] and h.api.get("/v1/vms/a")["state"] == "stopped"
            act(h, "a", "restore", "state")
        goes_on(h, "a")
        job = h.api.post("/v1/vms/b/actions/checkpoint", {"image": "point"})
        h.api.post("/v1/host/control/test-abort")
        h.serial.wait(r"instance 3 of the control kernel[\s\S]*management ready", 30)
        assert finished(h, job)["state"] in ("failed", "succeeded")
        assert h.api.get("/v1/vms/b")["state"] == "running"
        for vm in "ab":
            goes_on(h, vm)


def test_cancelled():
    with Host(options=STATIC, mem=768, limit=100) as h:
        h.ready()
        h.api.upload("soak", BUILD / "guests" / "soak")
        h.api.post("/v1/vms", {**SOAK, "name": "a", "memory": "512MiB"})
        h.api.post("/v1/vms/a/actions/start")
        free = h.api.get("/v1/host")["memory"]["free"]
        job = h.api.post("/v1/vms/a/actions/save", {"image": "state"})
        assert refused(h, "save", "again")[0] == 409
        job = h.api.delete(f"/v1/operations/{job['id']}")
        assert job["state"] == "cancelled", job
        goes_on(h, "a")
        assert [i["name"] for i in h.api.get("/v1/images")["items"]] == ["soak"]
        assert abs(h.api.get("/v1/host")["memory"]["free"] - free) < 1 << 20
        with pytest.raises(Problem, match="ended already"):
            h.api.delete(f"/v1/operations/{job['id']}")
        h.api.post("/v1/vms/a/actions/save", {"image": "state"})
        h.api.post("/v1/vms/a/actions/stop")
        assert h.api.get("/v1/operations")["items"][0]["error"]["detail"] == "the VM ended meanwhile"
        h.api.delete("/v1/vms/a")


def test_figures():
    """How long a guest stands still for a checkpoint; virtual time, a nanosecond for each instruction."""
    with Host(options=STATIC, mem=768, icount=True, limit=200) as h:
        h.ready()
        h.api.upload_linux()
        h.api.start_linux({**GUEST, "vcpus": 1}, 120)
        job = act(h, "g", "checkpoint", "point")
        begin, end = (datetime.fromisoformat(job[at].replace("Z", "+00:00")) for at in ("started_at", "ended_at"))
        size, ms = h.api.get("/v1/images")["items"][1]["size"], (end - begin).total_seconds() * 1000
        print(f"{GUEST['memory']} of which {size >> 20} MiB are not zero: {ms:.0f} ms, {ms * 1e6 / size:.2f} instructions a byte")
        assert ms * 1e6 / size < 0.6
