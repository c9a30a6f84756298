# SPDX-License-Identifier: BSD-2-Clause
"""The control kernel and the vmm programs die in every way, at random moments, and guests run on: what was acknowledged is there afterwards,
nothing else has changed, nobody has lost anything (docs/restart.md)."""
import random
import re
import time

import pytest
from host import BUILD, INITRD, KERNEL, Host, Problem, config_file, modules

STATIC = "ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 test.hooks=1"
WAYS = ["restart", "test-fault", "test-abort", "test-heap"]
GUEST = {"name": "g", "vcpus": 2, "memory": "128MiB", "boot": {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=ttyS0 quiet"}}


def instance(h):
    return h.api.get("/v1/host")["control"]["instance"]


def end_control(h, way):
    """Ends the control kernel and waits until the next instance answers. The emulator's own network tries again only after seconds when
    a packet of it is lost, so the answers are asked for with short timeouts."""
    before = instance(h)
    ended = len(re.findall(r"the control kernel \(program \d+\) ended", h.serial.text))
    assert h.api.post(f"/v1/host/control/{way}")["instance"] == before
    h.serial.wait(rf"(the control kernel \(program \d+\) ended[\s\S]*){{{ended + 1}}}management ready", 30)
    h.api.timeout = 1
    deadline = time.monotonic() + 30
    while True:
        try:
            if instance(h) == before + 1:
                break
        except OSError:
            pass
        assert time.monotonic() < deadline, "the next instance does not answer"
    h.api.timeout = 30


def ask(h, vm, n):
    """The guest's shell works something out: only a guest that runs, with its console, can answer."""
    position = h.api.console(vm)[1]
    h.api.raw("POST", f"/v1/vms/{vm}/console", f"echo $(({n}*3))-is-it\n".encode())
    h.api.wait_console(vm, f"{3 * n}-is-it", 30, since=position)


@pytest.fixture(scope="module")
def linux():
    with Host(options=STATIC, mem=1024, smp=2, limit=500) as h:
        h.ready()
        h.api.upload("vmlinuz", KERNEL)
        h.api.upload("initrd", INITRD)
        h.api.post("/v1/vms", GUEST)
        h.api.post("/v1/vms/g/actions/start")
        h.api.wait_console("g", "guest userspace up", 90)
        yield h
        print(h.serial.text[-3000:])


def rest(h):
    """So that the budget of three deaths a minute is not used up: the clock of the test is the host's."""
    time.sleep(61)


@pytest.mark.parametrize("way", WAYS[:2])
def test_control_ends(linux, way):
    h = linux
    ask(h, "g", 7)
    before = h.api.get("/v1/vms/g"), h.api.get("/v1/images")
    end_control(h, way)
    after = h.api.get("/v1/vms/g"), h.api.get("/v1/images")
    volatile = ("cpu_time_ns", "stats", "exits")
    assert {k: v for k, v in before[0].items() if k not in volatile} == {k: v for k, v in after[0].items() if k not in volatile}
    assert before[1] == after[1]
    ask(h, "g", 8)


def test_vmm_ends(linux):
    h = linux
    ask(h, "g", 9)
    h.api.post("/v1/vms/g/actions/test-crash-vmm")
    h.serial.wait(r"VM g: its device program died of exception 14 .* another takes over", 10)
    ask(h, "g", 10)
    assert h.api.get("/v1/vms/g")["state"] == "running"
    assert "Kernel panic" not in h.api.console("g")[0].decode(errors="replace")


def test_paused_and_stopped_stay_so(linux):
    h = linux
    rest(h)
    h.api.post("/v1/vms", {**GUEST, "name": "never"})
    h.api.post("/v1/vms/g/actions/pause")
    end_control(h, "test-abort")
    assert [(v["name"], v["state"]) for v in h.api.get("/v1/vms")["items"]] == [("g", "paused"), ("never", "defined")]
    h.api.post("/v1/vms/g/actions/resume")
    ask(h, "g", 11)
    h.api.delete("/v1/vms/never")
    end_control(h, "test-heap")
    assert [v["name"] for v in h.api.get("/v1/vms")["items"]] == ["g"]
    ask(h, "g", 12)
    with pytest.raises(Problem, match="in use"):
        h.api.delete("/v1/images/vmlinuz")
    h.api.post("/v1/vms/g/actions/shutdown")
    assert "off" in h.api.wait_state("g", "stopped", 30)["reason"]["detail"]
    h.api.delete("/v1/vms/g")
    h.api.delete("/v1/images/vmlinuz")


def test_vmm_budget():
    """A vmm that dies for the third time within a minute: its VM has crashed, and no other notices."""
    vms = [{"name": n, "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "spin"}} for n in ("bad", "good")]
    with Host(options=STATIC, mem=256) as h:
        h.ready()
        h.api.upload("spin", BUILD / "guests" / "spin")
        for vm in vms:
            h.api.post("/v1/vms", vm)
            h.api.post(f"/v1/vms/{vm['name']}/actions/start")
        for n in range(3):
            assert h.api.get("/v1/vms/bad")["state"] == "running"
            h.api.post("/v1/vms/bad/actions/test-crash-vmm")
            h.serial.wait(rf"(a vmm [\s\S]*){{{n + 1}}}", 10)
            time.sleep(0.2)
        reason = h.api.wait_state("bad", "crashed")["reason"]
        assert reason["code"] == "vmm_died" and "3 times within a minute" in reason["detail"], reason
        assert h.api.get("/v1/vms/good")["state"] == "running"


def test_control_budget():
    """Three deaths of the control kernel within a minute: hv leaves it at that and says so, and guests run on."""
    vm = {"name": "reset", "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "spin"}, "autostart": True}
    with Host(options=STATIC, mem=256) as h:
        h.ready()
        h.api.upload("spin", BUILD / "guests" / "spin")
        h.api.post("/v1/vms", vm)
        h.api.post("/v1/vms/reset/actions/start")
        for way in ("test-fault", "restart"):
            end_control(h, way)
        crashes = h.api.get("/v1/host/crashes")["items"]
        assert [(c["number"], c["program"], c["vm"], c["cause"]) for c in crashes] == [(2, "control", None, "exit"), (1, "control", None, "page fault")]
        assert crashes[0]["last_words"] == "restart by request"
        fault = h.api.get("/v1/host/crashes/1")
        assert fault["cr2"] == "0x3c0000" and len(fault["instructions"]) == 128 and len(fault["stack"]) > 0
        assert int(fault["registers"]["rip"], 16) > 0x400000 and "management ready" in fault["log"]
        h.api.post("/v1/host/control/test-abort")
        h.serial.wait(r"ended 3 times within a minute\n.*no longer managed; running VMs run on", 20)
        # The guest's vCPU is where the CPU is, still: hv shares it out to nobody else.
        seen = {re.search(r"CPL=(\d)", h.monitor("info registers"))[1] for _ in range(20)}
        assert seen


def test_before_anything_was_imported(tmp_path):
    """A configuration from boot modules whose import kills the control kernel would come again; here the second instance finds all of it."""
    vm = {"name": "hello", "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "spin"}, "autostart": True}
    files = modules((BUILD / "guests" / "spin", "spin"), (config_file(tmp_path, [vm]), "socle.json"))
    with Host(options=STATIC, mem=256, modules=files) as h:
        h.ready()
        h.api.wait_state("hello", "running")
        end_control(h, "test-fault")
        assert [(v["name"], v["state"]) for v in h.api.get("/v1/vms")["items"]] == [("hello", "running")]
        assert {i["name"] for i in h.api.get("/v1/images")["items"]} == {"spin", "socle.json"}
        host = h.api.get("/v1/host")["memory"]
        assert host["total"] == host["free"] + sum(host["used"].values())


def test_figures():
    """Death to "management ready" with a static address; virtual time."""
    with Host(options=STATIC + " test.die=1", mem=512, icount=True, limit=100) as h:
        h.serial.wait(r"(management ready[\s\S]*){2}\n", 90)
        ended = float(re.search(r"\[ *(\d+\.\d+)\] hv: the control kernel .* ended", h.serial.text)[1])
        again = [float(s) for s in re.findall(r"\[ *(\d+\.\d+)\] ctrl: management ready", h.serial.text)][1]
        assert again - ended < 0.1, again - ended
        print(f"death to management ready: {(again - ended) * 1000:.1f} ms")
