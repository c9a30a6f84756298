# SPDX-License-Identifier: BSD-2-Clause
"""VMs of many kinds are created, started, paused, reset, stopped and deleted at random moments by several clients at
once. Afterwards nothing is left of them, management answers, and no guest saw anything wrong.

STRESS_SECONDS makes it longer, STRESS_SEED repeats a choice of actions (the moments differ from run to run)."""
import os
import random
import re
import threading
import time

import pytest
from host import BUILD, Host, Problem, Api

SECONDS = int(os.environ.get("STRESS_SECONDS", "20"))
CLIENTS, NAMES = 4, 8
REFUSED = (404, 409, 507)  # another client was faster; more memory than there is

# Guest: vCPUs, command line.
KINDS = [("spin", 2), ("spin", 16), ("smp", 16), ("ipi_storm", 2), ("timers", 1), ("reset", 1), ("hello", 1),
         ("churn", 2), ("churn", 4), ("churn", 16), ("vmlinuz", 4)]
ACTIONS = {"create": 6, "start": 8, "pause": 4, "resume": 5, "reset": 4, "stop": 4, "delete": 3, "stats": 2, "console": 2,
           "input": 2, "host": 1, "test-crash-vmm": 1}


def spec(name, rng):
    kernel, vcpus = rng.choice(KINDS)
    vm = {"name": name, "vcpus": vcpus, "memory": "16MiB", "weight": rng.choice([50, 100, 300]), "boot": {"kernel": kernel}}
    if kernel == "vmlinuz":
        vm["memory"] = "192MiB"
        vm["boot"].update(initrd="initrd", cmdline="console=ttyS0")
    if kernel == "churn":
        vm["boot"]["cmdline"] = "forever"
    if rng.random() < 0.25:
        vm["cap"] = rng.choice([5, 30, 150])
    return vm


class Client(threading.Thread):
    """One action after the other on VMs that all clients share."""

    def __init__(self, port, seed, end):
        super().__init__(daemon=True)
        self.api, self.rng, self.end = Api(port, 60), random.Random(seed), end
        self.done, self.error = 0, None

    def act(self, what, name):
        if what == "create":
            self.api.post("/v1/vms", spec(name, self.rng))
        elif what == "delete":
            self.api.delete(f"/v1/vms/{name}")
        elif what == "host":
            self.api.get("/v1/host")
        elif what == "stats":
            self.api.get(f"/v1/vms/{name}/stats")
        elif what == "console":
            self.api.console(name)
        elif what == "input":
            self.api.raw("POST", f"/v1/vms/{name}/console", b"x\n" * self.rng.randrange(1, 300))
        else:
            self.api.post(f"/v1/vms/{name}/actions/{what}")

    def step(self):
        what = self.rng.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        name = f"s{self.rng.randrange(NAMES)}"
        try:
            self.act(what, name)
        except Problem as p:
            assert p.status in REFUSED, f"{what} {name}: {p}"
        self.done += 1
        if self.rng.random() < 0.3:
            time.sleep(self.rng.random() * 0.2)

    def run(self):
        try:
            while time.monotonic() < self.end:
                self.step()
        except Exception as e:  # shown by the test
            self.error = e


def left(api):
    """What VMs take. The control kernel's heap may have got holes, and with them pages."""
    host = api.get("/v1/host")
    memory = host["memory"]
    return {"objects": host["objects"], "free": memory["free"] + memory["used"]["control"], "used": {**memory["used"], "control": 0}}


def warm_up(api):
    """As many VMs as there will be: what hv keeps for the next ones is there before the first count."""
    for i in range(NAMES):
        api.post("/v1/vms", {"name": f"w{i}", "vcpus": 16, "memory": "16MiB", "boot": {"kernel": "spin"}})
        api.post(f"/v1/vms/w{i}/actions/start")
    api.remove_vms()


def wrong(text):
    """Lines of the host's log that should not be there. A churn guest that sees something wrong triple-faults."""
    crashed = re.compile(r"vm s\d: crashed: (?!its device model died)")
    return [line for line in text.splitlines() if re.search(r"panic| in hv|assertion|control kernel .*ended", line) or crashed.search(line)]


@pytest.mark.parametrize("smp", [2, 4])
def test_stress(smp):
    seed = int(os.environ.get("STRESS_SEED", random.randrange(1 << 30)))
    print(f"STRESS_SEED={seed}")
    with Host(options="ip=dhcp mgmt.insecure=1 test.hooks=1", mem=1536, smp=smp, limit=SECONDS + 300) as h:
        api = h.ready().api
        for name in sorted({kernel for kernel, _ in KINDS} - {"vmlinuz"}):
            api.upload(name, BUILD / "guests" / name)
        api.upload_linux()
        warm_up(api)
        before = left(api)
        clients = [Client(h.port, seed + i, time.monotonic() + SECONDS) for i in range(CLIENTS)]
        for c in clients:
            c.start()
        for c in clients:
            c.join(SECONDS + 150)
        errors = [repr(c.error) for c in clients if c.error] + ["a client got no answer" for c in clients if c.is_alive()]
        assert not errors, f"{errors}; emulator: {h.proc.poll()}; the log ends:\n{h.serial.text[-3000:]}"
        print(f"{sum(c.done for c in clients)} actions")
        api.remove_vms()
        assert left(api) == before
        assert wrong(h.serial.text) == []
