# SPDX-License-Identifier: BSD-2-Clause
"""A Linux guest whose console is hvc0: read, typed into, flooded, and through deaths of what carries it (docs/devices.md)."""
import json
import re
import time

import pytest
from host import Host
from netguests import Guest
from test_guest_net import wait_instance

OPTIONS = "ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 test.hooks=1"
BOOT = {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=hvc0"}
KEPT = 61440


@pytest.fixture(scope="module")
def h():
    with Host(options=OPTIONS, mem=512, limit=600) as h:
        h.ready()
        h.api.upload_linux()
        yield h
        print(h.serial.text[-3000:])


def console(h, vm, since=0):
    """-> (bytes, next, lost)"""
    status, headers, data = h.api.raw("GET", f"/v1/vms/{vm}/console?port=hvc0&since={since}")
    assert status == 200, data
    headers = {k.lower(): v for k, v in headers.items()}
    return data, int(headers["socle-console-next"]), int(headers["socle-console-lost"])


def refused(h, method, path, status, code, body=None):
    got, _, data = h.api.raw(method, path, body)
    assert (got, json.loads(data)["code"]) == (status, code), data


def lines(h, vm, since, n):
    """Numbered lines from there on: each once, in order."""
    seen, deadline = b"", time.monotonic() + 60
    while f"line {n}.".encode() not in seen:
        assert time.monotonic() < deadline, seen[-500:]
        data, since, lost = console(h, vm, since)
        assert lost == 0
        seen += data
    numbers = [int(x) for x in re.findall(rb"line (\d+)\.", seen)]
    assert numbers == list(range(1, n + 1)), (len(numbers), numbers[:5])


def test_linux(h):
    """It boots with it; nothing comes out of the serial port. What the kernel says is there from when the driver is."""
    guest = Guest(h.api, "v", [], port="hvc0", boot=BOOT, virtio_console=True)
    assert h.api.console("v")[0] == b""
    assert guest.sh("echo $((6*7)); tty; cat /sys/class/tty/console/active").split() == ["42", "/dev/hvc0", "hvc0"]
    guest.sh("dmesg -n 8; echo '<1>a word of the kernel' >/dev/kmsg")
    h.api.wait_console("v", "] a word of the kernel", 10, port="hvc0")
    dies(h, guest)
    flood(h, guest)
    h.api.post("/v1/vms/v/actions/stop")
    data, end, _ = console(h, "v")  # what was said stays
    assert data and console(h, "v", end) == (b"", end, 0)
    refused(h, "POST", "/v1/vms/v/console?port=hvc0", 409, "wrong_state", b"x")
    h.api.post("/v1/vms/v/actions/start")
    h.api.wait_console("v", "guest userspace up", 90, since=end, port="hvc0")
    h.api.post("/v1/vms/v/actions/stop")
    h.api.delete("/v1/vms/v")


def dies(h, guest):
    """Two thousand lines, while the vmm and the control kernel end: none is missing, none is there twice. So with what is typed."""
    _, start, _ = console(h, "v")
    begun = guest.begin("for i in $(seq 2000); do echo line $i.; done")
    for n in range(2):
        h.api.post("/v1/vms/v/actions/test-crash-vmm")
        h.api.post("/v1/host/control/restart")
        wait_instance(h.api, 2 + n)
    lines(h, "v", start, 2000)
    guest.wait(begun, 60)
    guest.begin("cat >/tmp/in")
    wanted = "".join(f"{i}\n" for i in range(1500))
    for at in range(0, len(wanted), 1000):
        status, deadline = 409, time.monotonic() + 30
        while status == 409 and time.monotonic() < deadline:
            status = h.api.raw("POST", "/v1/vms/v/console?port=hvc0", wanted[at:at + 1000].encode())[0]
        assert status == 204
        if at == 3000:
            h.api.post("/v1/vms/v/actions/test-crash-vmm")
    h.api.raw("POST", "/v1/vms/v/console?port=hvc0", b"\x04")
    assert guest.sh("seq 0 1499 | cmp - /tmp/in && echo the same") .strip().endswith("the same")


def flood(h, guest):
    """More than the ring has: what is gone is said, the rest is the end of it, and others are served meanwhile."""
    _, start, _ = console(h, "v")
    begun = guest.begin("dd if=/dev/zero bs=64k count=64 2>/dev/null | tr '\\0' x; echo")
    for _ in range(5):
        assert h.api.raw("GET", "/healthz")[0] == 200
    guest.wait(begun, 60)
    data, end, lost = console(h, "v", start)
    assert lost == end - start - KEPT and len(data) == KEPT and lost > 4000000 and data.count(b"x") > KEPT - 100


def test_refusals(h):
    h.api.post("/v1/vms", {"name": "none", "vcpus": 1, "memory": "128MiB", "boot": BOOT})
    assert h.api.get("/v1/vms/none")["virtio_console"] is False
    refused(h, "GET", "/v1/vms/none/console?port=hvc0", 409, "unsupported")
    refused(h, "POST", "/v1/vms/none/console?port=hvc0", 409, "unsupported", b"x")
    refused(h, "GET", "/v1/vms/none/console?port=hvc1", 400, "bad_request")
    h.api.delete("/v1/vms/none")
