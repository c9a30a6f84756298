# SPDX-License-Identifier: BSD-2-Clause
"""Network cards and the stack on a wire that the test itself holds: frames no router would pass, VLAN tags, floods, links."""
import hashlib
import os
import socket
import threading
import time

import pytest
from host import Api, Host, free_port

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
