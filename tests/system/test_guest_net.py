# SPDX-License-Identifier: BSD-2-Clause
"""Linux guests on networks: among themselves, behind NAT, on a card of the host; and through deaths of what carries their frames."""
import hashlib
import http.server
import json
import os
import re
import threading
import time
import urllib.request

import pytest
from host import IMAGE, Host, Problem, free_port
from netguests import Guest

OPTIONS = "ip=dhcp mgmt.insecure=1 test.hooks=1"
FORWARDED = 2222


class Server(http.server.ThreadingHTTPServer):
    """On the loopback of this machine, which QEMU shows as 10.0.2.2: random bytes, and their checksum."""

    def __init__(self, size=1 << 20):
        super().__init__(("127.0.0.1", 0), Answer)
        self.data = os.urandom(size)
        self.sha256 = hashlib.sha256(self.data).hexdigest()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.data)))
        self.end_headers()
        self.wfile.write(self.server.data)

    def log_message(self, *_):
        pass


def boot(extra="", nic=""):
    return {"netdev": extra, "nic": nic, "args": ["-kernel", str(IMAGE), "-append", OPTIONS]}


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def machine(port):
    with Host(mem=1024, boot=boot(f",hostfwd=tcp:127.0.0.1:{port}-:{FORWARDED}"), limit=1500) as h:
        h.ready()
        h.api.upload_linux()
        yield h
        print(h.serial.text[-3000:])


@pytest.fixture
def host(machine):
    """Without VMs, and with no network but the default."""
    yield machine
    api = machine.api
    api.remove_vms()
    for network in api.get("/v1/networks")["items"]:
        if network["name"] != "default":
            api.delete(f"/v1/networks/{network['name']}")


def pair(api, network="lan", **nic):
    """Two guests in one network, with addresses."""
    guests = [Guest(api, name, [{"network": network, **nic}]) for name in "ab"]
    for i, g in enumerate(guests):
        g.address(f"10.1.0.{i + 1}/24")
    return guests


def ports(api, network):
    return {p.get("vm", p["kind"]): p for p in api.get(f"/v1/networks/{network}/ports")["items"]}


def transfer(sender, receiver, ip, mib, timeout=90, during=lambda: None):
    """TCP; `during` is called while it is under way. -> both checksums are the same"""
    begun = receiver.begin("nc -l -p 5000 | sha256sum")
    receiver.api.wait_console(receiver.name, "", 5)
    time.sleep(0.5)
    sent = sender.begin(f"dd if=/dev/urandom of=/tmp/x bs=1M count={mib} 2>/dev/null; sha256sum </tmp/x; nc {ip} 5000 </tmp/x")
    during()
    _, out = sender.wait(sent, timeout)
    _, got = receiver.wait(begun, timeout)
    assert out.split()[0] == got.split()[0], (out, got)


def test_two_guests(host):
    """Ping, TCP both ways; the switch knows each by its port, and no access stops a vCPU for a frame."""
    api = host.api
    api.post("/v1/networks", {"name": "lan"})
    a, b = pair(api)
    assert a.ping("10.1.0.2", 5) == 5 and b.ping("10.1.0.1", 5) == 5
    before = [api.get(f"/v1/vms/{n}/stats")["parks"] for n in "ab"]
    transfer(a, b, "10.1.0.2", 4)
    transfer(b, a, "10.1.0.1", 4)
    assert [api.get(f"/v1/vms/{n}/stats")["parks"] for n in "ab"] == before
    p = ports(api, "lan")
    assert p["a"]["sent"]["bytes"] > 4 << 20 and p["b"]["received"]["bytes"] > 4 << 20
    _, _, text = api.raw("GET", "/metrics")
    port = 'network="lan",kind="vm",vm="a",nic="nic0"'
    figures = {name: int(re.search(rf"^socle_network_{name} (\d+)$", text.decode(), re.M)[1]) for name in (
        f"port_sent_bytes_total{{{port}}}", f'port_up{{{port}}}', 'ports{network="lan"}', 'sent_bytes_total{network="lan"}')}
    assert list(figures.values())[0] >= p["a"]["sent"]["bytes"] and list(figures.values())[1:3] == [1, 2]
    assert list(figures.values())[3] >= p["a"]["sent"]["bytes"] + p["b"]["sent"]["bytes"]
    # Frames of the guests' TCP go through whole: far fewer than there are segments. (nc writes 1 KiB at a time, httpd all at once.)
    a.sh("mkdir -p /tmp/www; mv /tmp/x /tmp/www; httpd -f -h /tmp/www & sleep 1")
    assert b.sh("wget -q -O /tmp/y http://10.1.0.1/x; sha256sum </tmp/y") == a.sh("sha256sum </tmp/www/x")
    sent = ports(api, "lan")["a"]["sent"]["frames"] - p["a"]["sent"]["frames"]
    assert sent < (4 << 20) / 1448 / 2, sent
    assert p["a"]["sent"]["malformed"] == p["b"]["sent"]["malformed"] == 0


def test_without_offloads(host):
    """The same when a guest does it all itself, and when only one of them does."""
    api = host.api
    api.post("/v1/networks", {"name": "lan"})
    a, b = pair(api)
    # There is no ethtool in a busybox: the driver is told by the features that it may not have.
    b.sh("ip link set eth0 down; rmmod virtio_net; insmod /lib/modules/virtio_net.ko gso=0 csum=0; sleep 1")
    b.address("10.1.0.2/24")
    assert a.ping("10.1.0.2") == 3
    transfer(a, b, "10.1.0.2", 2)
    transfer(b, a, "10.1.0.1", 2)


def test_driver_comes_and_goes(host):
    """A driver that resets its device has its receive buffers back before it has its memory for something else."""
    api = host.api
    api.post("/v1/networks", {"name": "lan"})
    a, b = pair(api)
    for _ in range(5):
        b.sh("rmmod virtio_net; insmod /lib/modules/virtio_net.ko; sleep 0.2")
    b.address("10.1.0.2/24")
    assert a.ping("10.1.0.2") == 3
    api.post("/v1/vms/b/actions/reset")
    api.wait_state("b", "running")


def test_pairs(host):
    """A guest with four vCPUs has four pairs of queues: frames of flows come in by all of them, and go out by each; also when both programs have died."""
    api = host.api
    api.post("/v1/networks", {"name": "lan"})
    a = Guest(api, "a", ["lan"], vcpus=4)
    b = Guest(api, "b", ["lan"])
    for i, g in enumerate((a, b)):
        g.address(f"10.1.0.{i + 1}/24")
    assert a.sh("ls /sys/class/net/eth0/queues").split() == [f"{way}-{i}" for way in ("rx", "tx") for i in range(4)]
    assert b.sh("ls /sys/class/net/eth0/queues").split() == ["rx-0", "tx-0"]
    a.sh("mkdir -p /tmp/w; echo over any queue >/tmp/w/index.html; httpd -f -h /tmp/w & sleep 1")

    def interrupts():
        lines = a.sh("grep 'input[.]' /proc/interrupts").splitlines()
        return [sum(int(n) for n in line.split()[1:5]) for line in sorted(lines, key=lambda line: line.split()[-1])]

    def fetch(times):
        out = b.sh(f"for i in $(seq {times}); do wget -q -O - http://10.1.0.1/; done | uniq -c", 90)
        assert out.split() == [str(times), "over", "any", "queue"]
    def use_all():
        before = interrupts()
        assert len(before) == 4
        fetch(40)  # one of four has none of them once in 25,000 times
        assert all(now > then for now, then in zip(interrupts(), before)), (before, interrupts())
        for cpu in range(4):
            assert a.sh(f"taskset {1 << cpu:x} ping -c 2 -i 0.2 -W 2 10.1.0.2", 20).count("bytes from") == 2, cpu
    use_all()
    restart(api)
    api.post("/v1/vms/a/actions/test-crash-vmm")
    use_all()
    transfer(a, b, "10.1.0.2", 2)
    transfer(b, a, "10.1.0.1", 2)


def test_vlans_and_isolation(host):
    api = host.api
    api.post("/v1/networks", {"name": "lan"})
    a = Guest(api, "a", [{"network": "lan", "vlan": 7}])
    b = Guest(api, "b", [{"network": "lan"}, {"network": "lan", "vlan": 7}])
    a.address("10.1.0.1/24")
    b.address("10.1.0.2/24", "eth0")
    assert a.ping("10.1.0.2", 2, 1) == 0
    b.sh("ip addr flush dev eth0")
    b.address("10.1.0.2/24", "eth1")
    assert a.ping("10.1.0.2") == 3


def test_trunk(host):
    """A guest with sub-interfaces talks in two VLANs with tags and in one without, to TCP offloads and all; in a third nobody hears it."""
    api = host.api
    api.post("/v1/networks", {"name": "lan"})
    t = Guest(api, "t", [{"network": "lan", "vlan": 5, "trunk": [7, 8], "anti_spoof": True}])
    t.sh("for m in llc stp garp mrp 8021q; do insmod /lib/modules/$m.ko; done")
    t.address("10.5.0.1/24")
    for vid in (7, 8, 9):
        t.sh(f"vconfig add eth0 {vid}")
        t.address(f"10.{vid}.0.1/24", f"eth0.{vid}")
    b = Guest(api, "b", [{"network": "lan", "vlan": vid} for vid in (5, 7, 8, 9)])
    for i, vid in enumerate((5, 7, 8, 9)):
        b.address(f"10.{vid}.0.2/24", f"eth{i}")
    for vid in (5, 7, 8):
        assert t.ping(f"10.{vid}.0.2") == 3 and b.ping(f"10.{vid}.0.1") == 3, vid
    before = ports(api, "lan")["t"]
    assert before["vlan"] == 5 and before["trunk"] == [7, 8]
    assert t.ping("10.9.0.2", 2, 1) == 0 and b.ping("10.9.0.1", 2, 1) == 0
    assert ports(api, "lan")["t"]["sent"]["other_vlan"] > before["sent"]["other_vlan"]
    # What is left to the card counts from behind a tag on one side, and not on the other.
    transfer(t, b, "10.7.0.2", 2)
    transfer(b, t, "10.8.0.1", 2)
    t.sh("mkdir -p /tmp/www; mv /tmp/x /tmp/www; httpd -f -h /tmp/www & sleep 1")
    frames = ports(api, "lan")["t"]["sent"]["frames"]
    assert b.sh("wget -q -O - http://10.7.0.1/x | sha256sum") == t.sh("sha256sum </tmp/www/x")
    assert ports(api, "lan")["t"]["sent"]["frames"] - frames < (2 << 20) / 1448 * 3 / 4  # more segments than frames
    assert ports(api, "lan")["t"]["sent"]["malformed"] == 0


def test_spoofing(host):
    """A guest that may send from its own MAC only; one whose MAC is another's does not start."""
    api = host.api
    api.post("/v1/networks", {"name": "lan"})
    a, b = pair(api, anti_spoof=True)
    assert a.ping("10.1.0.2", 2) == 2
    a.sh("ip link set eth0 down; ip link set eth0 address 02:11:22:33:44:55; ip link set eth0 up")
    assert a.ping("10.1.0.2", 2, 1) == 0
    assert ports(api, "lan")["a"]["sent"]["spoofed"] > 0
    mac = api.get("/v1/vms/b")["nics"][0]["mac"]
    api.post("/v1/vms", {**api_spec("c"), "nics": [{"network": "lan", "mac": mac}]})
    with pytest.raises(Problem) as e:
        api.post("/v1/vms/c/actions/start")
    assert mac in str(e.value)


def test_addresses(host):
    """NICs that have their addresses for themselves: a guest that lies about its own is not heard, nor one that says it is another."""
    api = host.api
    api.post("/v1/networks", {"name": "lan"})
    held = {"anti_spoof": True, "addresses": ["10.1.0.1", "fd00::1"]}
    a = Guest(api, "a", [{"network": "lan", **held}])
    b = Guest(api, "b", [{"network": "lan"}])
    for i, g in enumerate((a, b)):
        g.address(f"10.1.0.{i + 1}/24")
        g.sh(f"ip addr add fd00::{i + 1}/64 dev eth0; sleep 2")

    def answers(guest, source, to):
        return guest.ping(f"-I {source} {to}", 2, 1)

    def spoofed(vm):
        return ports(api, "lan")[vm]["sent"]["spoofed"]
    assert answers(a, "10.1.0.1", "10.1.0.2") == 2 and answers(a, "fd00::1", "fd00::2") == 2
    # It takes an address that it was not given.
    a.sh("ip addr add 10.1.0.9/24 dev eth0; ip addr add fd00::9/64 dev eth0; sleep 2")
    before = spoofed("a")
    assert answers(a, "10.1.0.9", "10.1.0.2") == 0 and answers(a, "fd00::9", "fd00::2") == 0
    assert answers(b, "10.1.0.2", "10.1.0.9") == 0
    assert spoofed("a") >= before + 3
    # Another, which may say anything else, takes this one's: of what it says nothing arrives.
    before = spoofed("b")
    b.sh("ip addr add 10.1.0.1/24 dev eth0; ip addr add 10.1.0.8/24 dev eth0")
    assert answers(b, "10.1.0.1", "10.1.0.7") == 0
    assert spoofed("b") > before
    b.sh("ip addr del 10.1.0.1/24 dev eth0")
    assert answers(b, "10.1.0.8", "10.1.0.1") == 2
    # The next control kernel knows it; a second NIC cannot have what is taken.
    restart(api)
    assert answers(a, "10.1.0.9", "10.1.0.2") == 0 and answers(a, "10.1.0.1", "10.1.0.2") == 2
    assert api.get("/v1/vms/a")["nics"][0]["addresses"] == held["addresses"]
    api.post("/v1/vms", {**api_spec("c"), "nics": [{"network": "lan", **held}]})
    with pytest.raises(Problem) as e:
        api.post("/v1/vms/c/actions/start")
    assert e.value.status == 409 and "addresses" in str(e.value)


def test_leased_addresses(host):
    """A NIC that sends from what DHCP gave it, and from nothing else; and nobody is the gateway."""
    api = host.api
    a = Guest(api, "a", [{"network": "default", "anti_spoof": True, "addresses": ["dhcp"]}])
    b = Guest(api, "b", ["default"])
    ip = a.dhcp()
    assert a.ping("192.168.213.1") == 3
    a.sh("ip addr add 192.168.213.77/24 dev eth0")
    assert a.ping("-I 192.168.213.77 192.168.213.1", 2, 1) == 0
    assert a.ping(f"-I {ip} 192.168.213.1", 2) == 2
    before = ports(api, "default")["b"]["sent"]["spoofed"]
    b.sh("ip link set eth0 up; ip addr add 192.168.213.1/24 dev eth0")
    assert b.ping("-I 192.168.213.1 192.168.213.99", 1, 1) == 0
    assert ports(api, "default")["b"]["sent"]["spoofed"] > before


def api_spec(name):
    return {"name": name, "vcpus": 1, "memory": "64MiB", "boot": {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=ttyS0 quiet"}}


def test_link(host):
    """A cable pulled out over the API: the guest sees it."""
    api = host.api
    api.post("/v1/networks", {"name": "lan"})
    a, b = pair(api)
    assert a.ping("10.1.0.2", 2) == 2
    api.call("PATCH", "/v1/vms/b/nics/nic0", {"link": "down"})
    assert a.ping("10.1.0.2", 2, 1) == 0
    assert b.sh("cat /sys/class/net/eth0/carrier").split()[-1] == "0"
    api.call("PATCH", "/v1/vms/b/nics/nic0", {"link": "up"})
    b.sh("until grep -q 1 /sys/class/net/eth0/carrier; do sleep 0.1; done")
    assert a.ping("10.1.0.2", 3) >= 2
    for path, body, status in (("b/nics/nic0", {"link": "sideways"}, 400), ("b/nics/none", {"link": "up"}, 404)):
        got, _, _ = api.raw("PATCH", f"/v1/vms/{path}", json.dumps(body), {"Content-Type": "application/json"})
        assert got == status


def test_nat(host, port):
    """A lease, the world behind the host's address, names, a port of the host that leads to the guest; and not the host itself."""
    api, server = host.api, Server()
    a = Guest(api, "a", ["default"])
    ip = a.dhcp()
    assert ip.startswith("192.168.213.")
    assert a.ping("192.168.213.1") == 3
    assert server.sha256 in a.sh(f"wget -q -O - http://10.0.2.2:{server.server_port}/ | sha256sum", 60)
    out = a.sh("nslookup nowhere.invalid 192.168.213.1", fails=True, timeout=30)
    assert "can't find" in out and "timed out" not in out
    # Over TCP it is refused at once.
    out = a.sh("nc -w 20 192.168.213.1 53 </dev/null", fails=True)
    assert "refused" in out, out
    nat = ports(api, "default")["gateway"]["nat"]
    assert nat["dns_queries"] >= nat["dns_answers"] > 0 and nat["dns_refused"] == 1 and nat["dns_unasked"] == 0
    figures = api.raw("GET", "/metrics")[2].decode()
    assert int(re.search(r'^socle_network_nat_to_world_packets_total{network="default"} (\d+)$', figures, re.M)[1]) > 10
    assert 'socle_network_port_up{network="default",kind="gateway",vm="",nic=""} 1\n' in figures
    mac = api.get("/v1/vms/a")["nics"][0]["mac"]

    def leased():  # to others, too: those of tests before
        return [x["address"] for x in api.get("/v1/networks/default/leases")["items"] if x["mac"] == mac]
    assert leased() == [ip]
    # Not management: nothing answers, so there is still somebody to be killed.
    a.sh("nc 10.0.2.15 8080 </dev/null & P=$!; sleep 2; kill $P", 30)
    api.call("PATCH", "/v1/networks/default", {"nat": {"forwards": [{"protocol": "tcp", "port": FORWARDED, "address": ip, "to_port": 80}]}})
    a.sh("mkdir -p /tmp/w; echo hello from a guest >/tmp/w/index.html; httpd -f -h /tmp/w -p 80 & sleep 1")
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read() == b"hello from a guest\n"
    # The next control kernel knows the lease, the forward and, when the guest goes on, its connection.
    restart(api)
    assert leased() == [ip]
    assert a.ping("10.0.2.2") == 3, ports(api, "default")
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read() == b"hello from a guest\n"
    api.call("PATCH", "/v1/networks/default", {"nat": {"forwards": []}})


def restart(api):
    """As soon as it may be: a third end within a minute is refused, and tests before this one may have had two."""
    deadline = time.monotonic() + 90
    while True:
        try:
            ends = api.post("/v1/host/control/restart")["instance"]
            break
        except Problem as e:
            assert e.status == 409 and time.monotonic() < deadline, e
            time.sleep(1)
    wait_instance(api, ends + 1)


def wait_instance(api, at_least, timeout=40):
    deadline = time.monotonic() + timeout
    while True:
        try:
            now = api.get("/v1/host")["control"]["instance"]
            if now >= at_least:
                return now
        except (OSError, Problem):
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_deaths_under_a_transfer():
    """TCP goes on whoever dies: the control kernel, the sender's device program, the receiver's. Two of each: a third within a minute is one too many."""
    with Host(options=OPTIONS, mem=512, limit=500) as h:
        h.ready()
        api = h.api
        api.upload_linux()
        api.post("/v1/networks", {"name": "lan"})
        a, b = pair(api)

        def deaths():
            for i in range(2):
                time.sleep(0.7)
                api.post("/v1/host/control/restart")
                wait_instance(api, 2 + i)
                for vm in "ab":
                    api.post(f"/v1/vms/{vm}/actions/test-crash-vmm")
                    h.serial.wait(rf"(?s)(VM {vm}: [^\n]*another takes over.*){{{i + 1}}}", 30)
        transfer(a, b, "10.1.0.2", 16, 200, deaths)
        assert a.ping("10.1.0.2") == 3
        assert api.get("/v1/vms/a")["state"] == api.get("/v1/vms/b")["state"] == "running"


def test_save_and_restore(host):
    """A VM that is restored has its NIC back, with receive buffers, on a network that was busy meanwhile."""
    api = host.api
    api.post("/v1/networks", {"name": "lan"})
    a, b = pair(api)
    busy = a.begin("ping -c 100 -i 0.05 -W 1 10.1.0.2 >/dev/null")
    job = api.post("/v1/vms/b/actions/save", {"image": "b.saved"})
    wait_job(api, job)
    job = api.post("/v1/vms/b/actions/restore", {"image": "b.saved"})
    wait_job(api, job)
    a.wait(busy, 60)
    assert a.ping("10.1.0.2") == 3
    transfer(a, b, "10.1.0.2", 2)
    api.delete("/v1/images/b.saved")


def wait_job(api, job, timeout=60):
    deadline = time.monotonic() + timeout
    while job["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.2)
        job = api.get(f"/v1/operations/{job['id']}")
    assert job["state"] == "succeeded", job


def test_definitions(host):
    """What is wrong with a network is said with its field; one in use stays."""
    api = host.api

    def refused(body, field, method="POST", path="/v1/networks"):
        status, _, answer = api.raw(method, path, json.dumps(body), {"Content-Type": "application/json"})
        assert status in (400, 409) and field in answer.decode(), (status, answer)
    refused({"name": "x", "mode": "hub"}, "/mode")
    refused({"name": "x", "uplink": "ne2000"}, "/uplink")
    refused({"name": "x", "vlan": 4095}, "/vlan")
    refused({"name": "x", "mode": "nat", "nat": {"subnet": "192.168.213.0/25"}}, "overlaps")
    refused({"name": "x", "mode": "nat", "nat": {"subnet": "10.9.0.0/16"}}, "/nat/subnet")
    refused({"name": "x", "mode": "nat", "nat": {"dhcp_first": "10.0.0.1", "dhcp_last": "10.0.0.2"}}, "/nat/dhcp_first")
    refused({"name": "x", "mode": "nat", "nat": {"forwards": [{"protocol": "tcp", "port": 8080, "address": "192.168.214.5", "to_port": 80}]}},
            "/nat/forwards/0/port")
    refused({"name": "default"}, "exists")
    for wrong, where in (({"trunk": [7, 0]}, "trunk/1"), ({"trunk": [7, 4095]}, "trunk/1"), ({"trunk": [7, 7]}, "trunk/1"), ({"trunk": 7}, "trunk"),
                         ({"vlan": 7, "trunk": [7]}, "trunk/0"), ({"tagged_only": True}, "tagged_only"), ({"trunk": list(range(1, 34))}, "trunk")):
        refused({**api_spec("v"), "nics": [{"network": "default", **wrong}]}, f"/nics/0/{where}\"", path="/v1/vms")
    nic = {"network": "default", "anti_spoof": True}
    for wrong in ("10.0.0", "224.0.0.1", "::", "fe80::1%1"):
        refused({**api_spec("v"), "nics": [{**nic, "addresses": ["10.0.0.1", wrong]}]}, "/nics/0/addresses/1", path="/v1/vms")
    refused({**api_spec("v"), "nics": [{**nic, "addresses": ["fe80::1", "FE80:0::1"]}]}, "twice", path="/v1/vms")
    refused({**api_spec("v"), "nics": [{**nic, "anti_spoof": False, "addresses": ["10.0.0.1"]}]}, "/nics/0/addresses", path="/v1/vms")
    refused({**api_spec("v"), "nics": [{"network": "nowhere"}]}, "/nics/0/network", path="/v1/vms")
    api.post("/v1/networks", {"name": "lan"})
    refused({**api_spec("v"), "nics": [{**nic, "network": "lan", "addresses": ["dhcp"]}]}, "/nics/0/addresses/0", path="/v1/vms")
    api.post("/v1/vms", {**api_spec("v"), "nics": [{"network": "lan"}]})
    with pytest.raises(Problem) as e:
        api.delete("/v1/networks/lan")
    assert e.value.status == 409 and '"v"' in str(e.value)


@pytest.mark.parametrize("nic", ["e1000", "virtio-net-pci"])
def test_uplink(nic):
    """A guest on the card that management has: both answer; with a cable out neither does, and then both again."""
    port, server = free_port(), Server()
    with Host(mem=512, nic=nic, boot=boot(f",hostfwd=tcp:127.0.0.1:{port}-10.0.2.77:80", ",id=card"), limit=500) as h:
        h.ready()
        api = h.api
        api.upload_linux()
        name = api.get("/v1/networks")["nics"][0]["name"]
        assert name == api.get("/v1/host")["network"]["nic"]["name"]
        api.post("/v1/networks", {"name": "out", "uplink": name})
        assert api.get("/v1/networks/out")["uplink_error"] is None
        a = Guest(api, "a", ["out"])
        a.address("10.0.2.77/24")
        a.sh("ip route add default via 10.0.2.2")
        assert a.ping("10.0.2.2") == 3
        assert a.ping("10.0.2.15") == 3  # the host, over the switch
        assert server.sha256 in a.sh(f"wget -q -O - http://10.0.2.2:{server.server_port}/ | sha256sum", 60)
        a.sh("mkdir -p /tmp/w; echo from the wire >/tmp/w/index.html; httpd -f -h /tmp/w -p 80 & sleep 1")
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read() == b"from the wire\n"
        h.monitor("set_link card off")
        time.sleep(1.5)
        h.monitor("set_link card on")
        h.serial.wait("link down", 10)
        h.serial.wait(r"link down[\s\S]*link up", 20)
        assert a.ping("10.0.2.2", 5) >= 3
        api.post("/v1/host/control/restart")
        wait_instance(api, 2)
        assert a.ping("10.0.2.2", 5) >= 3
        assert api.get("/v1/networks/out")["uplink_error"] is None
