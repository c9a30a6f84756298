# SPDX-License-Identifier: BSD-2-Clause
"""Debian's own kernel as a guest, over the API: the whole main job."""
import json
import time

import pytest

SPEC = {"name": "deb", "vcpus": 1, "memory": "256MiB", "boot": {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=ttyS0"}}


@pytest.fixture
def linux(clean):
    clean.api.upload_linux()
    return clean


def spec(**changes):
    return {**SPEC, **changes}


def test_life(linux):
    """Upload, create, start, look, type, pause, resume, power button, delete."""
    api = linux.api
    free = api.get("/v1/host")["memory"]["free"]
    assert "kvm-clock" in api.start_linux(SPEC, 120)
    data, position = api.console("deb")
    status, _, _ = api.raw("POST", "/v1/vms/deb/console", b"echo $((6*7))-is-the-answer\n")
    assert status in (200, 204)
    api.wait_console("deb", "42-is-the-answer", 20, since=position)

    stats = api.get("/v1/vms/deb/stats")
    assert stats["cpu_time_ns"] > 0 and sum(stats["exits"].values()) > 100

    api.post("/v1/vms/deb/actions/pause")
    assert api.get("/v1/vms/deb")["state"] == "paused"
    before = api.get("/v1/vms/deb/stats")["cpu_time_ns"]
    time.sleep(0.5)
    assert api.get("/v1/vms/deb/stats")["cpu_time_ns"] == before
    api.post("/v1/vms/deb/actions/resume")
    data, position = api.console("deb")
    api.raw("POST", "/v1/vms/deb/console", b"echo still-$((1+1))-alive\n")
    api.wait_console("deb", "still-2-alive", 20, since=position)

    api.post("/v1/vms/deb/actions/shutdown")
    stopped = api.wait_state("deb", "stopped", 30)
    assert "power" in str(stopped["reason"]).lower()
    data, _ = api.console("deb")
    assert b"switching off" in data
    api.delete("/v1/vms/deb")
    assert abs(api.get("/v1/host")["memory"]["free"] - free) < 1 << 20


def test_smp(linux):
    api = linux.api
    api.post("/v1/vms", spec(vcpus=4))
    api.post("/v1/vms/deb/actions/start")
    text = api.wait_console("deb", "guest userspace up", 120)
    assert " 4 CPUs" in text


def test_reset_and_reboot(linux):
    api = linux.api
    api.post("/v1/vms", spec(boot={**SPEC["boot"], "cmdline": "console=ttyS0 quiet"}))
    api.post("/v1/vms/deb/actions/start")
    api.wait_console("deb", "guest userspace up", 120)
    _, position = api.console("deb")
    api.post("/v1/vms/deb/actions/reset")
    api.wait_console("deb", "guest userspace up", 120, since=position)
    _, position = api.console("deb")
    api.raw("POST", "/v1/vms/deb/console", b"reboot -f\n")
    api.wait_console("deb", "guest userspace up", 120, since=position)
    assert api.get("/v1/vms/deb")["state"] == "running"


def test_more_memory_than_there_is(linux):
    """More than the host has is refused at once; more than is free now when the VM starts."""
    api = linux.api
    status, _, body = api.raw("POST", "/v1/vms", json.dumps(spec(memory="64GiB")), {"Content-Type": "application/json"})
    assert status == 400 and b"/memory" in body
    for name in ("a", "b"):
        api.post("/v1/vms", spec(name=name, memory="600MiB"))
    api.post("/v1/vms/a/actions/start")
    free = api.get("/v1/host")["memory"]["free"]
    status, _, body = api.raw("POST", "/v1/vms/b/actions/start")
    assert status == 409 and b"to spare" in body, body
    assert api.get("/v1/vms/b")["state"] == "defined"
    assert api.get("/v1/host")["memory"]["free"] == free
