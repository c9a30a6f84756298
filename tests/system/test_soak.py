# SPDX-License-Identifier: BSD-2-Clause
"""Control kernels and vmm programs die again and again, in every way and at any moment, beside guests that check every answer of their vmm and
beside clients that note what was acknowledged to them: nothing of it is lost (docs/restart.md). SOAK=N makes it longer."""
import hashlib
import http.client
import os
import random
import re
import threading
import time

import pytest
from host import BUILD, Api, Host, Problem, config_file, modules

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


def instances(h):
    return h.serial.text.count("of the control kernel is started")


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


LOST = (OSError, http.client.HTTPException)
PATIENCE = 0.4  # seconds without a byte: that control kernel is gone


class Client(threading.Thread):
    """Makes, changes and removes things of its own, each under a name that is used once. What it may find of each: one state, when the last request
    was answered; the one before or the one after it, for good, when it was not."""

    def __init__(self, h, seed):
        super().__init__(daemon=True)
        self.h, self.rng, self.api = h, random.Random(seed), Api(h.port, PATIENCE)
        self.model, self.made, self.acknowledged, self.lost, self.checks = {}, 0, 0, 0, 0
        self.stop, self.error = threading.Event(), None

    def request(self, name, before, after, fn):
        """-> the answer, None: it was lost."""
        self.model[name] = [before, after]
        try:
            answer = fn()
        except LOST:
            self.lost += 1
            return None
        self.model[name] = [after]
        self.acknowledged += 1
        return answer

    def check(self):
        """What the API says against what was acknowledged; until it answers."""
        while True:
            try:
                items = {i["name"]: i for i in self.api.get(self.path)["items"]}
                break
            except LOST:
                time.sleep(0.02)
        for name, states in self.model.items():
            now = self.state_of(items[name]) if name in items else None
            assert now in states, f"{name} is {now}; it may be {states}"
        self.checks += 1

    def run(self):
        seen = 0
        try:
            while not self.stop.is_set():
                self.act()
                if instances(self.h) != seen:
                    seen = instances(self.h)
                    self.check()
            self.check()
        except Exception as e:  # the test tells it
            self.error = e

    def new_name(self):
        self.made += 1
        return f"{self.prefix}-{self.made}"

    def known(self):
        """Things that are there for certain."""
        return [name for name, states in self.model.items() if len(states) == 1 and states[0] is not None]


class Images(Client):
    """Uploads that take a while, replaces, deletes."""

    path, prefix = "/v1/images", "image"

    @staticmethod
    def state_of(image):
        return image["sha256"]

    def upload(self, name, data):
        def pieces():
            for at in range(0, len(data), 16384):
                yield data[at:at + 16384]
                time.sleep(0.001)
        status, _, body = self.api.raw("PUT", f"/v1/images/{name}", pieces(), {"Content-Length": str(len(data))})
        assert status in (200, 201), body
        return status

    def act(self):
        known = self.known()
        if known and (len(known) > 8 or self.rng.random() < 0.3):
            name = self.rng.choice(known)
            self.request(name, self.model[name][0], None, lambda: self.api.raw("DELETE", f"/v1/images/{name}")[0] == 204 or pytest.fail(name))
            return
        name = self.rng.choice(known) if known and self.rng.random() < 0.4 else self.new_name()
        data = self.rng.randbytes(self.rng.randrange(1, 100000))
        self.request(name, self.model.get(name, [None])[0], hashlib.sha256(data).hexdigest(), lambda: self.upload(name, data))


class Vms(Client):
    """Defines, starts, pauses, resumes, stops, deletes."""

    path, prefix = "/v1/vms", "vm"
    STEPS = {"defined": ["start", "delete"], "running": ["pause", "stop"], "paused": ["resume", "stop"], "stopped": ["start", "delete"]}
    AFTER = {"start": "running", "pause": "paused", "resume": "running", "stop": "stopped"}

    @staticmethod
    def state_of(vm):
        return vm["state"], vm["weight"], vm["memory"], vm["boot"]["cmdline"]

    def define(self):
        name, weight = self.new_name(), self.rng.randrange(1, 3)
        state = ("defined", weight, 4 << 20, f"of {name}")
        vm = {"name": name, "vcpus": 1, "memory": state[2], "weight": weight, "boot": {"kernel": "soak", "cmdline": state[3]}}
        self.request(name, None, state, lambda: self.api.post("/v1/vms", vm))

    def act(self):
        known = self.known()
        if not known or (len(known) < 3 and self.rng.random() < 0.3):
            self.define()
            return
        name = self.rng.choice(known)
        before = self.model[name][0]
        verb = self.rng.choice(self.STEPS[before[0]])
        if verb == "delete":
            self.request(name, before, None, lambda: self.api.raw("DELETE", f"/v1/vms/{name}")[0] == 204 or pytest.fail(name))
        else:
            self.request(name, before, (self.AFTER[verb],) + before[1:], lambda: self.api.post(f"/v1/vms/{name}/actions/{verb}"))


class Console(threading.Thread):
    """A console followed over one connection as long as it lasts, then over the next from where it was."""

    def __init__(self, h, vm):
        super().__init__(daemon=True)
        self.h, self.vm, self.text, self.next, self.lost, self.connections = h, vm, b"", 0, 0, 0
        self.stop = threading.Event()

    def follow(self):
        c = http.client.HTTPConnection("127.0.0.1", self.h.port, timeout=PATIENCE)
        self.connections += 1
        try:
            while not self.stop.is_set():
                c.request("GET", f"/v1/vms/{self.vm}/console?since={self.next}")
                r = c.getresponse()
                data = r.read()
                if r.status != 200:
                    return
                self.text += data
                self.next, self.lost = int(r.headers["Socle-Console-Next"]), self.lost + int(r.headers["Socle-Console-Lost"])
                time.sleep(0.01)
        finally:
            c.close()

    def run(self):
        while not self.stop.is_set():
            try:
                self.follow()
            except LOST:
                time.sleep(0.02)


def remove_all(h):
    """What the clients have left."""
    for vm in h.api.get("/v1/vms")["items"]:
        if vm["name"].startswith("vm-"):
            if vm["state"] in ("running", "paused"):
                h.api.post(f"/v1/vms/{vm['name']}/actions/stop")
            h.api.delete(f"/v1/vms/{vm['name']}")
    for image in h.api.get("/v1/images")["items"]:
        if image["name"].startswith("image-"):
            h.api.delete(f"/v1/images/{image['name']}")


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
        for t in clients + [console]:
            t.stop.set()
        for t in clients + [console]:
            t.join(30)
        print("".join(f"{c.prefix}: {c.acknowledged} acknowledged, {c.lost} answers lost, {c.checks} times compared; " for c in clients),
              f"console: {len(console.text)} bytes over {console.connections} connections")
        for c in clients:
            assert not c.is_alive() and c.error is None, repr(c.error)
            assert c.acknowledged > CLIENT_DEATHS // 3 and c.lost > CLIENT_DEATHS // 10 and c.checks > CLIENT_DEATHS // 3
        told = [int(r) for r in re.findall(rb"round (\d+),", console.text)]
        assert told == list(range(0, 20 * len(told), 20)) and console.lost == 0 and console.connections > CLIENT_DEATHS // 2
        check_guests(h)
        remove_all(h)
        assert h.api.get("/v1/host")["objects"] == objects, "something stays behind"
