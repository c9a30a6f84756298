# SPDX-License-Identifier: BSD-2-Clause
"""Many VMs: fairness, many at once, many cycles without a leak, and neighbours that misbehave."""
import time

import pytest
from host import BUILD, Host

SPIN, HELLO = BUILD / "guests" / "spin", BUILD / "guests" / "hello"


def vm(name, kernel, **changes):
    return {"name": name, "vcpus": 1, "memory": "16MiB", "boot": {"kernel": kernel}, **changes}


def start(api, *specs):
    for s in specs:
        api.post("/v1/vms", s)
        api.post(f"/v1/vms/{s['name']}/actions/start")


def cpu_times(api, names, seconds):
    before = {n: api.get(f"/v1/vms/{n}/stats")["cpu_time_ns"] for n in names}
    t = time.monotonic()
    time.sleep(seconds)
    after = {n: api.get(f"/v1/vms/{n}/stats")["cpu_time_ns"] for n in names}
    return {n: (after[n] - before[n]) / 1e9 / (time.monotonic() - t) for n in names}


def test_weights_cap_and_management_under_load():
    """Spinning guests share by weight, a cap holds, and the API stays quick."""
    with Host(mem=512, smp=1) as h:
        api = h.ready().api
        api.upload("spin", SPIN)
        start(api, vm("light", "spin", weight=100), vm("heavy", "spin", weight=300))
        share = cpu_times(api, ["light", "heavy"], 4)
        assert 2.2 < share["heavy"] / share["light"] < 3.8, share
        worst = 0
        for _ in range(20):
            t = time.monotonic()
            api.get("/v1/host")
            worst = max(worst, time.monotonic() - t)
        assert worst < 2, worst
        api.post("/v1/vms/heavy/actions/stop")
        start(api, vm("capped", "spin", cap=20))
        share = cpu_times(api, ["light", "capped"], 4)
        assert share["capped"] < 0.3 * (share["light"] + share["capped"]), share


@pytest.mark.parametrize("smp", [2, 4])
def test_four_linux_guests(smp):
    with Host(mem=2048, smp=smp, limit=400) as h:
        api = h.ready().api
        api.upload_linux()
        names = [f"g{i}" for i in range(4)]
        start(api, *[vm(n, "vmlinuz", vcpus=2, memory="192MiB", boot={"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=ttyS0 quiet"}) for n in names])
        for n in names:
            api.wait_console(n, "guest userspace up", 200)


def test_64_vms():
    with Host(mem=2048, smp=2) as h:
        api = h.ready().api
        api.upload("spin", SPIN)
        names = [f"v{i}" for i in range(64)]
        start(api, *[vm(n, "spin", cap=1) for n in names])
        states = {v["name"]: v["state"] for v in api.get("/v1/vms")["items"]}
        assert len(states) == 64 and set(states.values()) == {"running"}
        for n in names:
            api.wait_console(n, "spinning", 120)
            api.post(f"/v1/vms/{n}/actions/stop")
            api.delete(f"/v1/vms/{n}")


def counts(api):
    host = api.get("/v1/host")
    return {k: host[k] for k in ("memory", "objects", "heap")}


def test_cycles_leak_nothing():
    """1,000 times create, start, stop, delete: the same free frames, objects and heap as before."""
    with Host(mem=512, smp=2, limit=600) as h:
        api = h.ready().api
        api.upload("spin", SPIN)

        def cycle():
            start(api, vm("c", "spin"))
            api.post("/v1/vms/c/actions/stop")
            api.delete("/v1/vms/c")
        for _ in range(20):
            cycle()
        before = counts(api)
        for _ in range(1000):
            cycle()
        assert counts(api) == before


def test_vmm_crash_harms_its_vm_only():
    with Host(options="ip=dhcp mgmt.insecure=1 test.hooks=1", mem=512, smp=2) as h:
        api = h.ready().api
        api.upload("spin", SPIN)
        start(api, vm("victim", "spin"), vm("other", "spin"))
        for n in range(3):
            api.post("/v1/vms/victim/actions/test-crash-vmm")
            h.serial.wait(rf"(a vmm [\s\S]*){{{n + 1}}}", 10)
            time.sleep(0.2)
        crashed = api.wait_state("victim", "crashed", 20)
        assert crashed["reason"]["code"] == "vmm_died", crashed
        assert api.get("/v1/vms/other")["state"] == "running"
        assert cpu_times(api, ["other"], 1)["other"] > 0.3
        api.post("/v1/vms/victim/actions/start")
        api.wait_state("victim", "running")
