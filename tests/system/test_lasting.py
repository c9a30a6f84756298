# SPDX-License-Identifier: BSD-2-Clause
"""The configuration outlives the host's power: VMs, which of them start by themselves and in which order, stored images. What was
acknowledged is there after a kill at any moment."""
import http.client
import random
import threading
import time

import pytest
from host import BUILD, Host, Problem, config_file, modules

MIB = 1 << 20
# A static address: the machine is up in no time.
OPTIONS = "ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 test.hooks=1"
GUEST = BUILD / "guests" / "soak"
LOST = (OSError, http.client.HTTPException)


def machine(path, **host):
    if not path.exists():
        with path.open("wb") as f:
            f.truncate(64 * MIB)
    extra = ["-drive", f"file={path},if=none,id=d0,format=raw", "-device", "virtio-blk-pci,drive=d0,addr=4"]
    return Host(OPTIONS, nic="virtio-net-pci", extra=extra, **host)


def finished(api, job):
    while job["state"] == "running":
        job = api.get(f"/v1/operations/{job['id']}?wait=5")
    assert job["state"] == "succeeded", job


def make_pool(api):
    disk = api.get("/v1/disks")["items"][0]["name"]
    api.post("/v1/pools", {"name": "p", "disks": [disk]})


def spec(name, **own):
    return {"name": name, "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "soak"}, **own}


def configuration(api):
    return api.get("/v1/host")["configuration"]


def wait_configuration(api, state, timeout=20):
    deadline = time.monotonic() + timeout
    while configuration(api)["state"] != state:
        assert time.monotonic() < deadline, configuration(api)
        time.sleep(0.05)


def test_life(tmp_path):
    disk = tmp_path / "disk"
    with machine(disk) as h:
        api = h.ready().api
        wait_configuration(api, "memory")
        assert "forgotten" in configuration(api)["detail"]
        api.upload("soak", GUEST)
        first = api.post("/v1/vms", spec("before", autostart=True, autostart_order=9))  # before there is a pool
        make_pool(api)
        wait_configuration(api, "lasting")
        assert configuration(api)["pool"] == "p"
        assert "socle-config" in [v["name"] for v in api.get("/v1/pools/p/volumes")["items"]]
        second = api.post("/v1/vms", spec("second", autostart=True, autostart_order=1, disks=[{"pool": "p", "volume": "later"}]))
        api.post("/v1/vms", spec("third"))
        api.post("/v1/vms", spec("gone", weight=7))
        api.delete("/v1/vms/gone")
        changed = api.call("PATCH", "/v1/vms/third", {"weight": 50, "boot": {"cmdline": "x"}})
        assert (changed["weight"], changed["boot"]["cmdline"], changed["boot"]["kernel"]) == (50, "x", "soak")
        assert second["autostart"] and not changed["autostart"]
        assert api.call("PATCH", "/v1/vms/second", {"disks": []})["disks"] == []
        with pytest.raises(Problem) as e:
            api.call("PATCH", "/v1/vms/third", {"name": "other"})
        assert e.value.status == 400
        finished(api, api.post("/v1/images/soak/actions/store", {"pool": "p"}))
        assert api.get("/v1/images/soak")["pool"] == "p"
        sha = api.get("/v1/images/soak")["sha256"]
        with pytest.raises(Problem) as e:
            api.post("/v1/images/soak/actions/store", {"pool": "p"})
        assert e.value.status == 409
        before = {vm["name"]: vm for vm in api.get("/v1/vms")["items"]}
        h.kill()
    with machine(disk) as h:
        api = h.ready().api
        wait_configuration(api, "lasting")
        api.wait_state("before", "running")
        after = {vm["name"]: vm for vm in api.get("/v1/vms")["items"]}
        same = ("uuid", "weight", "boot", "autostart", "autostart_order", "memory", "vcpus", "disks")
        assert {n: [vm[k] for k in same] for n, vm in after.items()} == {n: [vm[k] for k in same] for n, vm in before.items()}
        assert after["before"]["uuid"] == first["uuid"]
        assert {n: vm["state"] for n, vm in after.items()} == {"before": "running", "second": "running", "third": "defined"}
        assert h.serial.text.index("VM second is starting") < h.serial.text.index("VM before is starting")
        assert api.get("/v1/images/soak")["sha256"] == sha and api.get("/v1/images/soak")["pool"] == "p"
        # A VM that runs: only what says when it starts.
        with pytest.raises(Problem) as e:
            api.call("PATCH", "/v1/vms/before", {"memory": "32MiB"})
        assert e.value.status == 409
        assert not api.call("PATCH", "/v1/vms/before", {"autostart": False})["autostart"]
        api.post("/v1/host/control/restart")
        h.serial.wait(r"instance 2: took over[\s\S]*management ready", 20)
        wait_configuration(api, "lasting")
        api.post("/v1/vms/second/actions/stop")
        api.delete("/v1/vms/second")
        api.post("/v1/vms/before/actions/stop")
        api.upload("soak", b"something else")  # replaced: not stored any more
        assert api.get("/v1/images/soak")["pool"] is None
        deadline = time.monotonic() + 10
        while "image.soak" in [v["name"] for v in api.get("/v1/pools/p/volumes")["items"]]:
            assert time.monotonic() < deadline
        h.kill()
    with machine(disk) as h:
        api = h.ready().api
        wait_configuration(api, "lasting")
        assert {vm["name"]: vm["state"] for vm in api.get("/v1/vms")["items"]} == {"before": "defined", "third": "defined"}
        assert api.get("/v1/images")["items"] == []
        with pytest.raises(Problem) as e:  # its image has not lasted: it says so
            api.post("/v1/vms/third/actions/start")
        assert "no image" in str(e.value.body)
        # The pool goes, and the configuration with it; another one gets what there is.
        api.delete("/v1/pools/p?force=true")
        wait_configuration(api, "memory")
        make_pool(api)
        wait_configuration(api, "lasting")
        h.kill()
    with machine(disk) as h:
        wait_configuration(h.ready().api, "lasting")
        assert {vm["name"] for vm in h.api.get("/v1/vms")["items"]} == {"before", "third"}


def test_modules_beside(tmp_path):
    """VMs of the boot modules are theirs: they are not written; one on the disk with a name that is taken is kept there."""
    disk = tmp_path / "disk"
    files = modules((GUEST, "soak"), (config_file(tmp_path, [spec("a", autostart=True)]), "socle.json"))
    with machine(disk) as h:
        make_pool(h.ready().api)
        h.api.upload("soak", GUEST)
        h.api.post("/v1/vms", spec("a", weight=3))
        h.api.post("/v1/vms", spec("b"))
        h.kill()
    with machine(disk, modules=files) as h:
        wait_configuration(h.ready().api, "lasting")
        h.api.wait_state("a", "running")
        assert h.api.get("/v1/vms/a")["weight"] == 100
        assert h.api.get("/v1/vms/b")["state"] == "defined"
        assert any("already" in n["detail"] and "kept" in n["detail"] for n in h.api.get("/v1/host")["configuration_errors"])
        kept = h.api.get("/v1/host/configuration/kept")["items"]
        assert [(k["kind"], k["value"]["vm"]["name"], k["value"]["vm"]["weight"]) for k in kept] == [("vm", "a", 3)]
        assert "already" in kept[0]["detail"]
        h.api.delete("/v1/vms/b")
        h.api.post("/v1/host/control/restart")
        h.serial.wait(r"instance 2: took over[\s\S]*management ready", 20)
        wait_configuration(h.api, "lasting")
        assert h.api.get(f"/v1/host/configuration/kept/{kept[0]['id']}") == {**kept[0], "detail": None}
        h.kill()
    with machine(disk) as h:
        wait_configuration(h.ready().api, "lasting")
        assert {vm["name"]: vm["weight"] for vm in h.api.get("/v1/vms")["items"]} == {"a": 3}
        assert h.api.get("/v1/host/configuration/kept") == {"items": []}


def test_dropped(tmp_path):
    """What cannot be used is shown, and dropped for good when that is asked for: each by itself."""
    disk, kept = tmp_path / "disk", "/v1/host/configuration/kept"
    taken = [spec(name) for name in "ab"]
    files = modules((GUEST, "soak"), (config_file(tmp_path, taken), "socle.json"))
    with machine(disk) as h:
        make_pool(h.ready().api)
        h.api.upload("soak", GUEST)
        for name in "abc":
            h.api.post("/v1/vms", spec(name, weight=3))
        h.kill()
    with machine(disk, modules=files) as h:
        wait_configuration(h.ready().api, "lasting")
        a, b = h.api.get(kept)["items"]
        assert a["value"]["vm"]["name"] == "a" and a["id"] != b["id"]
        h.api.delete(f"{kept}/{a['id']}")
        h.kill()  # it was answered: it is on the disk
    with machine(disk, modules=files) as h:
        wait_configuration(h.ready().api, "lasting")
        assert h.api.get(kept)["items"] == [b]
        with pytest.raises(Problem) as e:
            h.api.delete(f"{kept}/{a['id']}")
        assert e.value.status == 404
        h.api.post("/v1/host/control/restart")
        h.serial.wait(r"instance 2: took over[\s\S]*management ready", 20)
        wait_configuration(h.api, "lasting")
        h.api.delete(f"{kept}/{b['id']}")
        assert h.api.get(kept) == {"items": []}
        h.kill()
    with machine(disk) as h:
        wait_configuration(h.ready().api, "lasting")
        assert {vm["name"]: vm["weight"] for vm in h.api.get("/v1/vms")["items"]} == {"c": 3}


class Model:
    """allowed: what the host may know, {name: weight} each; one of it when the last request was answered."""

    def __init__(self, rng):
        self.rng, self.allowed, self.made, self.acknowledged, self.lost = rng, [{}], 0, 0, 0

    def change(self, api):
        now = self.allowed[0]
        what = self.rng.choice(("add", "add" if len(now) < 100 else "delete", "change", "delete")) if now else "add"
        name = self.rng.choice(sorted(now)) if now else None
        if what == "add":
            self.made += 1
            name = f"v{self.made}"
        weight = self.rng.randrange(1, 1000)
        after = {k: v for k, v in now.items() if k != name} | ({} if what == "delete" else {name: weight})
        self.allowed = [now, after]
        try:
            if what == "add":
                api.post("/v1/vms", spec(name, weight=weight))
            elif what == "change":
                api.call("PATCH", f"/v1/vms/{name}", {"weight": weight})
            else:
                api.delete(f"/v1/vms/{name}")
        except LOST:
            self.lost += 1
            return False
        self.allowed = [after]
        self.acknowledged += 1
        return True

    def check(self, api):
        known = {vm["name"]: vm["weight"] for vm in api.get("/v1/vms")["items"]}
        assert known in self.allowed, (known, self.allowed)
        self.allowed = [known]


@pytest.mark.parametrize("rounds", [25, pytest.param(300, marks=pytest.mark.long)])
def test_power_cuts(tmp_path, rounds):
    """Killed at any moment of changes, control kernels between: nothing acknowledged is lost, nothing is half there."""
    disk, model = tmp_path / "disk", Model(random.Random(7))
    with machine(disk) as h:
        make_pool(h.ready().api)
        h.api.upload("soak", GUEST)
        finished(h.api, h.api.post("/v1/images/soak/actions/store", {"pool": "p"}))
        h.kill()
    for _ in range(rounds):
        with machine(disk) as h:
            api = h.ready().api
            wait_configuration(api, "lasting")
            model.check(api)
            h.serial.wait("configuration: p/socle-config", 5)
            deadline = time.monotonic() + 10
            while not api.get("/v1/images")["items"]:
                assert time.monotonic() < deadline
            killer = threading.Timer(model.rng.uniform(0, 0.1), h.kill)
            if model.rng.random() < 0.2:
                try:
                    api.post("/v1/host/control/restart")
                except LOST:
                    pass
            answered = all(model.change(api) for _ in range(model.rng.randrange(6)))
            killer.start()
            while answered and model.change(api):
                pass
            killer.join()
    print(f"{rounds} cuts, {model.acknowledged} changes acknowledged, {model.lost} not answered")
    assert model.acknowledged > rounds
