# SPDX-License-Identifier: BSD-2-Clause
"""Network cards and the stack on a wire that the test itself holds: frames no router would pass, VLAN tags, floods, links."""
import hashlib
import os
import socket
import threading
import time

import pytest
from host import INITRD, KERNEL, Api, Host, free_port, modules
from netguests import Guest

NICS = [("pc", "e1000"), ("q35", "e1000e"), ("q35", "virtio-net-pci,disable-legacy=on"), ("q35", "virtio-net-pci,disable-legacy=on,vectors=0")]
BROADCAST, PEER = b"\xff" * 6, bytes.fromhex("525500000002")
OUR_IP, PEER_IP = socket.inet_aton("10.9.8.7"), socket.inet_aton("10.9.8.1")
ARP = b"\x08\x06"


def arp_request():
    return ARP + bytes.fromhex("0001080006040001") + PEER + PEER_IP + bytes(6) + OUR_IP


class Wire:
    """The other end of the card's cable: each datagram is a frame."""

    def __init__(self):
        self.theirs, self.ours = free_port(), free_port()
        self.s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.s.bind(("127.0.0.1", self.ours))
        self.s.settimeout(0.2)
        self.netdev = ["-netdev", f"socket,id=w0,udp=127.0.0.1:{self.ours},localaddr=127.0.0.1:{self.theirs}"]

    def send(self, payload, to=BROADCAST):
        self.s.sendto(to + PEER + payload, ("127.0.0.1", self.theirs))

    def answer(self, fits, timeout=5):
        """The first frame for which fits(frame) is true; None after the time-out."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                frame = self.s.recv(2048)
            except TimeoutError:
                continue
            if fits(frame):
                return frame
        return None

    def ask(self, request, fits, tries=20):
        """Cards need a moment before they receive: asks again."""
        for _ in range(tries):
            self.send(request)
            frame = self.answer(fits, 0.5)
            if frame:
                return frame
        return None


def wired(machine, nic, options, wire):
    return Host(options=options, machine=machine, nic=nic, net=False, mem=256, limit=60,
                extra=wire.netdev + ["-device", f"{nic},netdev=w0,id=card"])


def is_reply(frame, tag=b""):
    """To our request; the machine also announces its own address, to all."""
    arp = frame[12 + len(tag):]
    return frame[0:6] == PEER and frame[12:].startswith(tag + ARP) and arp[8:10] == b"\0\2" and arp[16:20] == OUR_IP and len(frame) >= 60


@pytest.mark.parametrize("machine,nic", NICS)
def test_short_frames(machine, nic):
    wire = Wire()
    with wired(machine, nic, "ip=10.9.8.7/24", wire) as h:
        h.serial.wait(r"net: address 10\.9\.8\.7/24", 20)
        whole = arp_request()
        assert wire.ask(whole, is_reply)
        for kind in (whole, b"\x81\0\0\0" + whole, b"\x08\0" + b"E" * 40, b"\x86\xdd" + b"`" * 60):
            for n in range(len(kind)):
                wire.send(kind[:n])
        assert wire.ask(whole, is_reply)
        assert h.proc.poll() is None and "ended" not in h.serial.text


def test_vlan():
    wire = Wire()
    tag = b"\x81\0\0\x2a"
    with wired("q35", "virtio-net-pci,disable-legacy=on", "ip=10.9.8.7/24 vlan=42", wire) as h:
        h.serial.wait(r"net: address 10\.9\.8\.7/24", 20)
        assert wire.ask(tag + arp_request(), lambda frame: is_reply(frame, tag))
        wire.send(arp_request())
        wire.send(b"\x81\0\0\x2b" + arp_request())
        assert wire.answer(lambda frame: frame[0:6] == PEER, 1) is None


class Tagger:
    """Between the card's cable and a router's: on the card's side the router's frames have a tag. It remembers who sent without."""

    def __init__(self, tag):
        self.card, self.router, self.tag = Wire(), Wire(), tag
        self.router.netdev = [w.replace("id=w0", "id=r0") for w in self.router.netdev]
        self.untagged, self.tagged, self.end = set(), set(), False
        for w in (self.card, self.router):
            w.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.threads = [threading.Thread(target=self.carry, args=way, daemon=True)
                        for way in ((self.card, self.router, self.strip), (self.router, self.card, lambda f: f[:12] + tag + f[12:]))]

    def strip(self, frame):
        tagged = frame[12:16] == self.tag
        (self.tagged if tagged else self.untagged).add(frame[6:12])
        return frame[:12] + frame[16:] if tagged else None

    def carry(self, one, other, change):
        while not self.end:
            try:
                frame = change(one.s.recv(2048))
            except TimeoutError:
                continue
            if frame:
                one.s.sendto(frame, ("127.0.0.1", other.theirs))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.end = True
        for t in self.threads:
            t.join()


def test_shared_vlan():
    """Management in a VLAN of a card that is a network's uplink, too: it answers there and nowhere else, a guest in that VLAN talks to it, one outside does not."""
    port = free_port()
    with Tagger(b"\x81\0\0\x2a") as wire, Host(
            options="ip=dhcp vlan=42 mgmt.insecure=1 test.hooks=1", net=False, mem=512, limit=200, modules=modules((KERNEL, "vmlinuz"), (INITRD, "initrd")),
            extra=["-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{port}-:8080", *wire.router.netdev, *wire.card.netdev,
                   "-netdev", "hubport,hubid=0,id=h0,netdev=n0", "-netdev", "hubport,hubid=0,id=h1,netdev=r0", "-device", "virtio-net-pci,netdev=w0"]) as h:
        h.ready()
        h.serial.wait(r"net: address 10\.0\.2\.15/24", 20)
        api = Api(port, timeout=20)
        status = api.get("/v1/host")["network"]
        mac = bytes.fromhex(status["nic"]["mac"].replace(":", ""))
        api.post("/v1/networks", {"name": "out", "uplink": status["nic"]["name"]})
        assert api.get("/v1/networks/out")["uplink_error"] is None
        guest = Guest(api, "a", [{"network": "out", "vlan": 42}, {"network": "out"}])
        guest.address("10.0.2.77/24", "eth0")
        assert guest.ping("10.0.2.15") == 3 and guest.ping("10.0.2.2") == 3  # the host over the switch; the router with a tag
        guest.sh("ip addr flush dev eth0; ip link set eth0 down")
        guest.address("10.0.2.78/24", "eth1")
        assert guest.ping("10.0.2.15", 2, 1) == 0 and guest.ping("10.0.2.2", 2, 1) == 0
        inside, outside = (bytes.fromhex(n["mac"].replace(":", "")) for n in api.get("/v1/vms/a")["nics"])
        assert mac in wire.tagged and inside in wire.tagged and outside in wire.untagged
        # Who asks for it without that tag, or with another, is not answered.
        wire.untagged.clear()
        ask = ARP + bytes.fromhex("0001080006040001") + PEER + PEER_IP + bytes(6) + socket.inet_aton("10.0.2.15")
        for tag in (b"", b"\x81\0\0\x2b", b"\x81\0\0\0"):
            wire.card.send(tag + ask)
        time.sleep(1)
        assert mac not in wire.untagged and inside not in wire.untagged
        # The same in the next control kernel, and when the card is not shared any more.
        api.post("/v1/host/control/restart")
        h.serial.wait(r"(net: address 10\.0\.2\.15/24[\s\S]*){2}", 40)
        assert api.get("/v1/networks/out")["uplink_error"] is None
        api.post("/v1/vms/a/actions/stop")
        api.delete("/v1/vms/a")
        api.delete("/v1/networks/out")
        assert api.get("/v1/host")["network"]["vlan"] == 42
        assert mac not in wire.untagged


@pytest.mark.parametrize("machine,nic", NICS)
def test_link_change_and_upload(machine, nic):
    data = os.urandom(8 << 20)
    # QEMU's netdev n0 is the card's peer: its name works for set_link.
    with Host(machine=machine, nic=nic, mem=256, limit=60) as h:
        h.ready()
        h.monitor("set_link n0 off")
        h.serial.wait("link down", 10)
        h.monitor("set_link n0 on")
        h.serial.wait("link up$", 10)
        assert h.api.upload("data", data)["sha256"] == hashlib.sha256(data).hexdigest()
        card = h.api.get("/v1/host")["network"]["nic"]
        assert card["link"] and card["link_changes"] == 2 and card["rx_frames"] > 5000


@pytest.mark.parametrize("machine,nic", NICS)
def test_flood(machine, nic):
    """Frames as fast as they go; the API still answers."""
    wire = Wire()
    hub = ["-netdev", "hubport,hubid=0,id=h0,netdev=n0"] + wire.netdev + ["-netdev", "hubport,hubid=0,id=h1,netdev=w0"]
    hub += ["-netdev", "hubport,hubid=0,id=h2", "-device", f"{nic},netdev=h2"]
    stop = threading.Event()

    def flood():
        while not stop.is_set():
            for _ in range(100):
                wire.send(ARP + bytes(46))
            time.sleep(0.0005)

    port = free_port()
    with Host(machine=machine, nic=nic, net=False, mem=256, limit=90,
              extra=["-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{port}-:8080"] + hub) as h:
        h.ready()
        api = Api(port, timeout=20)
        assert api.raw("GET", "/healthz")[0] == 200
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            time.sleep(0.5)
            for _ in range(5):
                assert api.raw("GET", "/healthz")[0] == 200
        finally:
            stop.set()
            thread.join()
        time.sleep(0.5)
        assert api.get("/v1/host")["network"]["nic"]["rx_frames"] > 1000


def test_selection():
    two = ["-netdev", "user,id=n1", "-device", "e1000e,netdev=n1,addr=5"]
    with Host(options="ip=dhcp nic=00:05.0 mgmt.insecure=1", nic="virtio-net-pci", mem=256, extra=two, limit=60) as h:
        h.serial.wait(r"net: e1000e@00:05\.0 .* link up", 20)
        h.ready()
