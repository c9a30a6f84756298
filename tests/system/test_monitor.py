# SPDX-License-Identifier: BSD-2-Clause
"""Without a control kernel the serial console has hv's own monitor (docs/restart.md)."""
import contextlib
import re
import time

import pytest
from host import BUILD, Host

STATIC = "ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 test.hooks=1"
HELLO = r"This is the monitor of the hypervisor.*\nsocle> "


def end_thrice(h, way="test-fault"):
    """The budget of deaths is used up."""
    start = len(h.serial.text)
    h.api.timeout = 2
    for n in range(3):
        if n:
            h.serial.wait(rf"(?s)\A.{{{start}}}(.*management ready){{{n}}}", 30)
        ended = re.compile(rf"(?s).{{{start}}}(.*the control kernel \(program \d+\) ended){{{n + 1}}}")
        deadline = time.monotonic() + 30
        while not ended.match(h.serial.text):  # it may end before its answer is out
            assert time.monotonic() < deadline, "the control kernel does not end"
            with contextlib.suppress(OSError):
                h.api.post(f"/v1/host/control/{way}")
                h.serial.wait(ended.pattern, 20)
    h.api.timeout = 30


class Console:
    def __init__(self, h):
        self.h = h

    def ask(self, line, timeout=20):
        """What the monitor says to a line, without its echo and the next prompt."""
        start = len(self.h.serial.text)
        self.h.type(line + "\r")
        self.h.serial.wait(rf"(?s)\A.{{{start}}}.*\n.*socle> \Z", timeout)
        return self.h.serial.text[start:].rsplit("socle> ", 1)[0].split("\n", 1)[1]


@pytest.mark.parametrize("smp", [1, 2])
def test_monitor(smp):
    vm = {"vcpus": 1, "memory": "16MiB", "boot": {"kernel": "spin"}}
    with Host(options=STATIC, mem=256, smp=smp) as h:
        h.ready()
        h.api.upload("spin", BUILD / "guests" / "spin")
        for name in ("web", "db"):
            h.api.post("/v1/vms", {**vm, "name": name})
            h.api.post(f"/v1/vms/{name}/actions/start")
        h.type("off\r")  # nobody listens now
        end_thrice(h)
        h.serial.wait(HELLO, 20)
        c = Console(h)
        rows = dict(re.findall(r" (\d+)  running +1 +16 MiB (web|db)\n", c.ask("list")))
        assert sorted(rows.values()) == ["db", "web"], h.serial.text[-500:]
        web = next(n for n, name in rows.items() if name == "web")
        assert c.ask(f"pause {web}") == f"VM {web} (web) is paused.\n"
        assert c.ask(f"pause {web}") == f"VM {web} (web) is not changed: it is paused.\n"
        assert re.search(rf" {web}  paused ", c.ask("list"))
        assert c.ask(f"resume {web}") == f"VM {web} (web) is running.\n"
        assert c.ask("pause 99") == "There is no VM 99; list shows those there are.\n"
        assert "Say which VM" in c.ask("pause web")
        assert "no such command" in c.ask("rm -rf /")
        assert c.ask("") == ""
        assert c.ask("helpx\b") == c.ask("help") and "restart" in c.ask("help")
        log = c.ask("log")
        assert "Socle" in log and "the control kernel ended 3 times within a minute" in log
        dump = c.ask("dump")
        assert "Death 3, " in dump and "the control kernel (program" in dump and "ended by page fault, code 6, address 3c0000" in dump
        assert re.search(r"rip    0000000000[0-9a-f]{6}  rsp ", dump) and re.search(r"Code at rip:\n  ([0-9a-f]{16} ?){4}\n", dump)
        assert "The log before it:\n[" in dump
        h.type("\x00\xff\x1b[A" + "z" * 500 + "\x03")
        h.serial.wait(r"z{79}\a+\^C\nsocle> ", 20)
        assert c.ask(f"pause {web}") == f"VM {web} (web) is paused.\n"
        # Back to normal: the new instance has a new budget, and takes over what was changed here.
        h.type("restart\roff\r")  # what comes behind it is nobody's, now and later
        h.serial.wait(r"instance 4 of the control kernel is started[\s\S]*management ready", 30)
        h.api.wait_state("web", "paused")
        assert h.api.get("/v1/vms/db")["state"] == "running"
        assert h.api.get("/v1/host")["control"]["instance"] == 4
        h.api.post("/v1/vms/web/actions/resume")
        h.type("off\r")
        end_thrice(h, "test-abort")
        h.serial.wait(rf"({HELLO}(?s:.*)){{2}}", 20)
        assert "ended by exit" in c.ask("dump")
        h.type("off\r")
        h.wait_end()
        assert "power: off" in h.serial.text


def test_reboot_and_no_vms():
    with Host(options=STATIC, mem=256) as h:
        h.ready()
        end_thrice(h)
        h.serial.wait(HELLO, 20)
        assert Console(h).ask("list") == "There are no VMs.\n"
        h.type("reboot\r")
        h.wait_end()  # the emulator is told to end then
        assert "power: reboot" in h.serial.text
