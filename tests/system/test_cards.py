# SPDX-License-Identifier: BSD-2-Clause
"""Two guests on two cards of the machine, joined outside: frames go to the cards from where they lie, and what a card does itself is left to it."""
import os
import time

import pytest
import taps
from host import Host
from netguests import Guest
from test_guest_net import transfer, wait_instance

OPTIONS = "ip=dhcp mgmt.insecure=1 test.hooks=1"
MIB = 1 << 20


def hub(model):
    return [a for i in range(2) for a in ("-netdev", f"hubport,id=w{i},hubid=7", "-device", f"{model},netdev=w{i},addr={8 + i},mac=52:54:00:00:07:0{i}")]


@pytest.fixture(params=["virtio-net-pci", "e1000", "e1000e", "tap"])
def machine(request):
    """-> host, its guests, and whether frames pass the wire that are larger than its MTU."""
    fds = []
    if request.param == "tap":
        if taps.why_not():
            pytest.skip(taps.why_not())
        fds = taps.bridged(2)
    extra = taps.cards(fds) if fds else hub(request.param)
    with Host(OPTIONS, mem=768, smp=2, extra=extra, fds=fds, limit=400) as h:
        for fd in fds:
            os.close(fd)
        api = h.ready().api
        api.upload_linux()
        for i, name in enumerate("ab"):
            api.post("/v1/networks", {"name": f"w{i}", "uplink": f"00:0{8 + i}.0"})
        guests = [Guest(api, name, [{"network": f"w{i}"}]) for i, name in enumerate("ab")]
        for i, g in enumerate(guests):
            g.address(f"10.1.0.{i + 1}/24")
        yield h, guests, request.param == "tap"
        print(h.serial.text[-2000:])


def port(api, network, kind):
    return next(p for p in api.get(f"/v1/networks/{network}/ports")["items"] if p["kind"] == kind)


def test_transfers(machine):
    """TCP both ways through both cards: the sums are right, and frames are as large as the cards and the guests take them."""
    h, (a, b), large = machine
    assert a.ping("10.1.0.2", 5) == 5 and b.ping("10.1.0.1", 5) == 5
    transfer(a, b, "10.1.0.2", 3)
    out, came = port(h.api, "w0", "uplink")["received"], port(h.api, "w1", "vm")["received"]
    assert out["bytes"] > 3 * MIB and out["no_room"] == 0
    assert out["bytes"] / out["frames"] > 2500  # what the guest sends reaches the card whole, or is cut for it last
    assert came["bytes"] / came["frames"] > (2500 if large else 1000)
    transfer(b, a, "10.1.0.1", 3)
    # The end of what carries the frames, and of a guest that sends.
    transfer(a, b, "10.1.0.2", 3, during=lambda: h.api.post("/v1/host/control/restart"))
    wait_instance(h.api, 2)
    a.sh("cat /dev/zero | nc -u 10.1.0.2 9 & true")
    time.sleep(0.5)
    h.api.post("/v1/vms/a/actions/stop")
    h.api.delete("/v1/vms/a")
    assert b.ping("10.1.0.2", 2) == 0
    a = Guest(h.api, "a", [{"network": "w0"}])
    a.address("10.1.0.1/24")
    assert a.ping("10.1.0.2", 2)  # its MAC is another one: else the other side keeps the old one for a minute
    transfer(b, a, "10.1.0.1", 1)
