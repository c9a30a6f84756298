# SPDX-License-Identifier: BSD-2-Clause
"""A client that changes a pool's volumes at random and notes what was acknowledged: what may be there after a death or a power cut."""
import http.client
import json
import select
import time

from host import Api, Problem

MIB = 1 << 20
EXTENT = 64 << 10
LOST = (OSError, http.client.HTTPException)
DATA = "data"  # the volume that is written to
DATA_BYTES = MIB // 2
PARTIAL = ".partial"


class Watched(Api):
    """A client of one control kernel, over one connection. A request whose answer does not come because that one has ended is carried out by it or
    never: to the next one the connection is unknown. (A connection that is not yet there when it ends reaches the next one, with all that was sent; and
    the line that tells of a new one may be read when it has long been asked: so each connection asks whose it is.)"""

    def __init__(self, host):
        super().__init__(host.port, 20)
        self.host, self.connection = host, None
        self.instance = self.started()

    def started(self):
        return self.host.serial.text.count("of the control kernel is started")

    def exchange(self, method, path, body, headers):
        self.connection.request(method, path, body=body, headers=headers or {})
        while not select.select([self.connection.sock], [], [], 0.01)[0]:
            if self.started() > self.instance:
                raise ConnectionError("the control kernel has ended")
        r = self.connection.getresponse()
        answer = r.status, dict(r.getheaders()), r.read()
        if r.will_close:
            self.connection = None
        return answer

    def raw(self, method, path, body=None, headers=None):
        try:
            if not self.connection:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
                host = json.loads(self.exchange("GET", "/v1/host", None, None)[2])
                self.instance = host["control"]["instance"] - 1  # the first one has no line
            return self.exchange(method, path, body, headers)
        except LOST:
            self.connection = None
            raise


class Lost(Exception):
    """No answer came."""


class Volumes:
    """allowed: what the pool may hold, {name: bytes} each; one of it, when the last request was answered. torn: the part of the data that a lost
    request may have written to. foreign: names in the pool that are others' matter."""

    def __init__(self, rng, pool="p", foreign=()):
        self.rng, self.path, self.foreign = rng, f"/v1/pools/{pool}/volumes", foreign
        self.allowed, self.content, self.torn = [{DATA: DATA_BYTES}], bytearray(DATA_BYTES), None
        self.made = self.acknowledged = self.lost = self.checks = self.written = 0
        self.kinds = {}

    # ---- requests ----

    def attempt(self, after, fn, between=()):
        """One request; the pool is `after` when it is answered, and may be in between when it is not."""
        before = self.allowed[0]
        self.allowed = [before, *between, after]
        try:
            answer = fn()
        except LOST as e:
            self.lost += 1
            raise Lost from e
        self.allowed = [after]
        self.acknowledged += 1
        return answer

    def job(self, api, fn):
        j = fn()
        while j["state"] == "running":
            j = api.get(f"/v1/operations/{j['id']}?wait=5")
        assert j["state"] == "succeeded", j

    def others(self):
        return [n for n in self.allowed[0] if n != DATA]

    def create(self, api):
        self.made += 1
        name, size = f"v{self.made}", self.rng.randrange(1, 9) * EXTENT
        self.attempt({**self.allowed[0], name: size}, lambda: api.post(self.path, {"name": name, "bytes": size}))

    def resize(self, api):
        name, size = self.rng.choice(self.others()), self.rng.randrange(1, 9) * EXTENT
        self.attempt({**self.allowed[0], name: size}, lambda: api.call("PATCH", f"{self.path}/{name}", {"bytes": size, "force": True}))

    def rename(self, api):
        name = self.rng.choice(self.others())
        self.made += 1
        after = {k: v for k, v in self.allowed[0].items() if k != name} | {f"r{self.made}": self.allowed[0][name]}
        self.attempt(after, lambda: api.call("PATCH", f"{self.path}/{name}", {"name": f"r{self.made}"}))

    def without(self, name):
        return {k: v for k, v in self.allowed[0].items() if k != name}

    def delete(self, api):
        name = self.rng.choice(self.others())
        self.attempt(self.without(name), lambda: api.delete(f"{self.path}/{name}"))

    def zero(self, api):
        name = self.rng.choice(self.others())
        self.attempt(self.without(name), lambda: self.job(api, lambda: api.delete(f"{self.path}/{name}?zero=true")))

    def clone(self, api):
        name = self.rng.choice(self.others())
        self.made += 1
        before, to = self.allowed[0], f"c{self.made}"
        self.attempt({**before, to: before[name]}, lambda: self.job(api, lambda: api.post(f"{self.path}/{name}/actions/clone", {"name": to})),
                     between=[{**before, to + PARTIAL: before[name]}])

    def write(self, api):
        """Any part of the data volume; most of it small."""
        at = self.rng.randrange(DATA_BYTES)
        n = min(DATA_BYTES - at, self.rng.randrange(1, 200000 if self.rng.random() < 0.3 else 9000))
        data = self.rng.randbytes(n)
        self.torn = (at, at + n)
        status = self.attempt(self.allowed[0], lambda: api.raw("PUT", f"{self.path}/{DATA}/content", data, {"Content-Range": f"bytes {at}-{at + n - 1}/*"}))[0]
        assert status == 200, status
        self.content[at:at + n] = data
        self.torn = None
        self.written += n

    def step(self, api):
        few = len(self.others()) < 3
        act = self.rng.choice([self.create, self.write] if few else [
            self.create, self.write, self.write, self.resize, self.resize, self.rename, self.delete, self.delete, self.zero, self.clone])
        if len(self.others()) > 12:
            act = self.delete
        act(api)
        self.kinds[act.__name__] = self.kinds.get(act.__name__, 0) + 1

    # ---- comparing ----

    def check(self, api):
        """The pool and the data are what they may be."""
        pool = api.get(self.path.rsplit("/", 1)[0])
        assert pool["state"] == "ok", pool
        now = {v["name"]: v["bytes"] for v in api.get(self.path)["items"] if v["name"] not in self.foreign}
        assert now in self.allowed, f"there is {now}; allowed: {self.allowed}"
        status, _, data = api.raw("GET", f"{self.path}/{DATA}/content")
        assert status == 200 and len(data) == DATA_BYTES
        start, end = self.torn or (0, 0)
        assert data[:start] == self.content[:start] and data[end:] == self.content[end:], "what was acknowledged is not there"
        self.allowed, self.content, self.torn = [now], bytearray(data), None
        self.checks += 1


def until_read(api, timeout=20):
    """Waits until the API answers and the drives were read."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if api.get("/v1/pools")["drives_read"]:
                return
        except (*LOST, Problem):
            assert time.monotonic() < deadline, "no answer"
        time.sleep(0.01)
