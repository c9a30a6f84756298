# SPDX-License-Identifier: BSD-2-Clause
"""Linux guests with NICs: started, told what to do over their consoles, and asked what came of it."""
import itertools
import re
import time

from host import UP

_count = itertools.count()
DHCP = (r"#!/bin/sh\n[ $1 = bound ] || exit 0\nip addr add $ip/$mask dev $interface\nip route add default via $router\n"
        r"echo nameserver $dns >/etc/resolv.conf\n")


def spec(name, networks, **changes):
    nics = [n if isinstance(n, dict) else {"network": n} for n in networks]
    return {"name": name, "vcpus": 1, "memory": "128MiB", "nics": nics,
            "boot": {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=ttyS0 quiet"}, **changes}


class Guest:
    """A Linux guest's shell. sh() waits, begin() does not: wait() gets the rest."""

    def __init__(self, api, name, networks, timeout=120, port="ttyS0", **changes):
        api.start_linux(spec(name, networks, **changes), timeout, port)
        self.attach(api, name, port)

    @classmethod
    def running(cls, api, name, timeout=120):
        """One that was started otherwise."""
        g = cls.__new__(cls)
        api.wait_console(name, UP, timeout)
        g.attach(api, name, "ttyS0")
        return g

    def attach(self, api, name, port):
        self.api, self.name, self.port = api, name, port
        self.sh("stty -echo; PS1=; echo")

    def begin(self, command):
        mark = f"={next(_count)}="
        _, position = self.api.console(self.name, port=self.port)
        # The shell joins the two halves: the echo of the line is no answer.
        line = f"{command}; echo '{mark[0]}''{mark[1:]}'$?@\n"
        for at in range(0, len(line), 200):
            self.api.raw("POST", f"/v1/vms/{self.name}/console?port={self.port}", line[at:at + 200].encode())
        return mark, position

    def wait(self, begun, timeout=30):
        """-> (exit status, output)"""
        mark, position = begun
        deadline, seen = time.monotonic() + timeout, ""
        while True:
            data, position = self.api.console(self.name, position, self.port)
            seen += data.decode(errors="replace").replace("\r", "")
            m = re.search(re.escape(mark) + r"(\d+)@", seen)
            if m:
                return int(m.group(1)), seen[:m.start()]
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} has not answered; it says:\n{seen[-3000:]}")
            time.sleep(0.05)

    def sh(self, command, timeout=30, fails=False):
        status, out = self.wait(self.begin(command), timeout)
        assert fails or status == 0, f"{self.name}: {command}: {status}\n{out}"
        return out

    def address(self, ip, device="eth0"):
        self.sh(f"ip addr add {ip} dev {device}; ip link set {device} up")

    def ping(self, ip, count=3, wait=2):
        """-> answers"""
        out = self.sh(f"ping -c {count} -i 0.2 -W {wait} {ip}", fails=True, timeout=60)
        return int(re.search(r"(\d+) packets received", out).group(1))

    def dhcp(self, device="eth0"):
        """-> the address that it got"""
        self.sh(f"printf '{DHCP}' >/tmp/dhcp; chmod +x /tmp/dhcp; ip link set {device} up")
        self.sh(f"udhcpc -i {device} -n -q -t 10 -T 1 -s /tmp/dhcp", 60)
        return re.search(r"inet ([\d.]+)/", self.sh(f"ip -4 addr show dev {device}")).group(1)
