# SPDX-License-Identifier: BSD-2-Clause
"""Clients that work while control kernels die, and note what was acknowledged to them."""
import hashlib
import http.client
import random
import re
import threading
import time

import pytest
from host import Api

LOST = (OSError, http.client.HTTPException)
PATIENCE = 0.4  # seconds without a byte: that control kernel is gone


def instances(h):
    return h.serial.text.count("of the control kernel is started")


class Client(threading.Thread):
    """Makes, changes and removes things of its own, each under a name that is used once. What it may find of each: one state, when the last request
    was answered; the one before or the one after it, for good, when it was not."""

    def __init__(self, h, seed, patience=PATIENCE):
        super().__init__(daemon=True)
        self.h, self.rng, self.api = h, random.Random(seed), Api(h.port, patience)
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

    def __init__(self, h, vm, patience=PATIENCE):
        super().__init__(daemon=True)
        self.h, self.vm, self.patience = h, vm, patience
        self.text, self.next, self.lost, self.connections = b"", 0, 0, 0
        self.stop, self.error = threading.Event(), None

    def follow(self):
        c = http.client.HTTPConnection("127.0.0.1", self.h.port, timeout=self.patience)
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

    def check(self):
        """No line of a guest "poke" is missing, or there twice. -> lines"""
        told = [int(r) for r in re.findall(rb"round (\d+)\r?\n", self.text)]
        assert told and told == list(range(0, 20 * len(told), 20)) and self.lost == 0, (self.lost, told[:3], told[-3:])
        return len(told)


def stop_all(clients, console):
    """All of them end, and none of them was told what is not so."""
    for t in [*clients, console]:
        t.stop.set()
    for t in [*clients, console]:
        t.join(60)
    for c in clients:
        print(f"{c.prefix}: {c.acknowledged} acknowledged, {c.lost} answers lost, {c.checks} times compared")
    print(f"console: {len(console.text)} bytes over {console.connections} connections")
    for t in [*clients, console]:
        assert not t.is_alive() and t.error is None, repr(t.error)
    console.check()


def remove_all(h):
    """What the clients have left."""
    h.api.remove_vms("vm-")
    for image in h.api.get("/v1/images")["items"]:
        if image["name"].startswith("image-"):
            h.api.delete(f"/v1/images/{image['name']}")
