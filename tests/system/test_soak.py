# SPDX-License-Identifier: BSD-2-Clause
"""Control kernels and vmm programs die again and again, in every way and at any moment, beside guests that check every answer of their vmm and
beside clients that note what was acknowledged to them: nothing of it is lost (docs/restart.md). SOAK=N makes it longer."""
import os
import re

import pytest
from clients import Console, Images, Vms, remove_all, stop_all
from host import BUILD, Host, config_file, modules

STATIC = "ip=10.0.2.15/24,gw=10.0.2.2 mgmt.insecure=1 test.hooks=1"
SOAK = int(os.environ.get("SOAK", "320"))
GUESTS = {"a": "soak", "b": "soak", "c": "soak", "talker": "poke"}
NAMES = ["a", "b", "c"]  # those that check every answer


def guests(directory, **machine):
    """Boot modules that start the guests, and one that says much; and how many objects hv has when they run."""
    vms = [{"name": name, "vcpus": 1, "memory": "16MiB", "boot": {"kernel": kernel}, "autostart": True} for name, kernel in GUESTS.items()]
    files = modules(*((BUILD / "guests" / name, name) for name in ("soak", "poke")), (config_file(directory, vms), "socle.json"))
    with Host(options=STATIC, modules=files, **machine) as h:
        h.ready()
        for name in GUESTS:
            h.api.wait_state(name, "running")
        h.api.get("/v1/images")
        return files, h.api.get("/v1/host")["objects"]


def rounds(h, name):
    return max(int(r) for r in re.findall(r"round (\d+),", h.api.console(name)[0].decode()))


def check_guests(h):
    """All of them run on and nothing was ever wrong."""
    before = {name: rounds(h, name) for name in NAMES}
    for name in NAMES:
        h.api.wait_console(name, f"round {before[name] + 200},", 60)
        assert "FAILED" not in h.api.console(name)[0].decode()
    assert "panic" not in h.serial.text


def wait_end(h, n, seconds):
    h.serial.wait(rf"instance {n + 1} of the control kernel is started[\s\S]*management ready.*\n", seconds)
    h.api.timeout = 10


@pytest.mark.parametrize("smp", [1, 2])
def test_programs_die(smp, tmp_path):
    """Sometimes while the last take-over is still under way: a control kernel, or a vmm, or both."""
    files, objects = guests(tmp_path, mem=512)
    n = SOAK // (1 if smp == 1 else 4)
    with Host(options=f"{STATIC} test.soak={n}", mem=512, smp=smp, modules=files, limit=60 + n) as h:
        wait_end(h, n, 50 + n)
        now = h.api.get("/v1/vms")["items"]
        assert {v["name"]: v["state"] for v in now} == dict.fromkeys(GUESTS, "running"), now
        assert h.api.get("/v1/host")["objects"] == objects, "something stays behind"
        check_guests(h)
        ends = len(re.findall(r"a vmm \(program", h.serial.text))
        print(f"{n} control kernels and {ends} vmm programs ended")
        assert ends > n // 20


CLIENT_DEATHS = max(30, SOAK // 10)


def test_clients(tmp_path):
    """The control kernel dies while clients work; what they were told is so afterwards."""
    machine = {"mem": 768, "nic": "virtio-net-pci"}
    files, objects = guests(tmp_path, **machine)
    with Host(options=f"{STATIC} test.soak={CLIENT_DEATHS} test.soak_ms=600", modules=files, limit=120 + 3 * CLIENT_DEATHS, **machine) as h:
        h.ready()
        clients, console = [Images(h, 1), Vms(h, 2)], Console(h, "talker")
        for t in clients + [console]:
            t.start()
        wait_end(h, CLIENT_DEATHS, 60 + 3 * CLIENT_DEATHS)
        stop_all(clients, console)
        for c in clients:
            assert c.acknowledged > CLIENT_DEATHS // 3 and c.lost > CLIENT_DEATHS // 10 and c.checks > CLIENT_DEATHS // 3
        assert console.connections > CLIENT_DEATHS // 2
        check_guests(h)
        remove_all(h)
        assert h.api.get("/v1/host")["objects"] == objects, "something stays behind"
