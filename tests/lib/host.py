# SPDX-License-Identifier: BSD-2-Clause
"""A machine running Socle under an emulator, as the tests see it: serial text, the API, an end."""
import http.client
import json
import os
import queue
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SOCLE_BUILD", ROOT / "build"))
IMAGE = BUILD / "socle.elf"
KERNEL = BUILD / "guest" / "vmlinuz"
INITRD = BUILD / "guest" / "initrd.gz"
READY = "management ready"
UP = "guest userspace up"
# QEMU 7.2 is not safe for CPUs in threads of their own: a change of the memory map (a card's BAR) in one of them pulls tables from under the
# others, which then lose writes to the APIC, fault for no reason, or end QEMU (docs/support.md). One thread for all of them does not.
ACCEL = f"tcg,thread={os.environ.get('SOCLE_QEMU_THREADS', 'single')}"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Problem(Exception):
    """An answer that was not 2xx."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


class Api:
    """A plain HTTP client: one connection per call, JSON in and out."""

    def __init__(self, port, timeout=30):
        self.port, self.timeout = port, timeout

    def raw(self, method, path, body=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        try:
            c.request(method, path, body=body, headers=headers or {})
            r = c.getresponse()
            return r.status, dict(r.getheaders()), r.read()
        finally:
            c.close()

    def call(self, method, path, obj=None):
        headers = {"Content-Type": "application/json"} if obj is not None else {}
        body = json.dumps(obj) if obj is not None else None
        status, _, data = self.raw(method, path, body, headers)
        parsed = json.loads(data) if data else None
        if status >= 300:
            raise Problem(status, parsed)
        return parsed

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, obj=None):
        return self.call("POST", path, obj)

    def delete(self, path):
        return self.call("DELETE", path)

    def remove_vms(self, prefix=""):
        """All of them, or those whose names begin so, whatever they are doing."""
        for name in [vm["name"] for vm in self.get("/v1/vms")["items"] if vm["name"].startswith(prefix)]:
            try:
                self.delete(f"/v1/vms/{name}")
            except Problem as e:
                if e.status == 404:
                    continue  # an earlier request was still being carried out
                self.raw("POST", f"/v1/vms/{name}/actions/stop")  # it runs, is being started, or has just ended
                self.delete(f"/v1/vms/{name}")

    def upload(self, name, file):
        data = Path(file).read_bytes() if not isinstance(file, bytes) else file
        status, _, body = self.raw("PUT", f"/v1/images/{name}", data)
        if status not in (200, 201):
            raise Problem(status, body)
        return json.loads(body)

    def console(self, vm, since=0, port="ttyS0"):
        status, headers, data = self.raw("GET", f"/v1/vms/{vm}/console?since={since}&port={port}")
        if status != 200:
            raise Problem(status, data)
        return data, int({k.lower(): v for k, v in headers.items()}["socle-console-next"])

    def wait_console(self, vm, text, timeout=60, since=0, port="ttyS0"):
        seen, deadline = b"", time.monotonic() + timeout
        while time.monotonic() < deadline:
            data, since = self.console(vm, since, port)
            seen += data
            if text.encode() in seen:
                return seen.decode(errors="replace")
            time.sleep(0.1)
        raise AssertionError(f"'{text}' did not appear on {vm}'s console; it says:\n{seen.decode(errors='replace')[-3000:]}")

    def upload_linux(self):
        self.upload("vmlinuz", KERNEL)
        self.upload("initrd", INITRD)

    def start_linux(self, spec, timeout=90, port="ttyS0"):
        """Defines and starts it, waits for its userspace -> what that says of itself, the whole line."""
        assert self.post("/v1/vms", spec)["state"] == "defined"
        self.post(f"/v1/vms/{spec['name']}/actions/start")
        text = self.wait_console(spec["name"], UP, timeout, port=port)
        while "\n" not in text.split(UP, 1)[1]:
            time.sleep(0.05)
            text = self.console(spec["name"], port=port)[0].decode(errors="replace")
        return text.split(UP, 1)[1].split("\n")[0]

    def wait_state(self, vm, state, timeout=30):
        deadline = time.monotonic() + timeout
        while True:
            now = self.get(f"/v1/vms/{vm}")
            if now["state"] == state:
                return now
            if time.monotonic() > deadline:
                raise AssertionError(f"{vm} is {now['state']} ({now.get('reason')}), not {state}")
            time.sleep(0.1)


class Serial:
    """Lines of a process's output, readable while it runs."""

    def __init__(self, stream, errors=None):
        self.text, self.lines = "", queue.Queue()
        self.errors = errors  # the file of what the process says to stderr
        self.changed = threading.Condition()
        self.ended = False
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream):
        while True:
            data = os.read(stream.fileno(), 65536)
            with self.changed:
                if not data:
                    self.ended = True
                else:
                    self.text += data.decode(errors="replace").replace("\r", "")
                self.changed.notify_all()
            if not data:
                return

    def _last_words(self):
        return f"saying '{self.errors.read_text(errors='replace')[-500:].strip()}'" if self.errors else "unheard"

    def wait(self, pattern, timeout):
        """The match of a regular expression in the text so far or to come."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                m = re.search(pattern, self.text, re.M)
                if m:
                    return m
                left = deadline - time.monotonic()
                if left <= 0 or self.ended:
                    why = f"the emulator ended, {self._last_words()}" if self.ended else f"{timeout} s passed"
                    raise AssertionError(f"'{pattern}' did not appear ({why}); serial text ends:\n{self.text[-4000:]}")
                self.changed.wait(min(left, 1))


class Host:
    """QEMU with Socle. Use as a context manager: `with Host(smp=2) as h: h.api.get("/v1/host")`."""

    def __init__(self, options="ip=dhcp mgmt.insecure=1", mem=1024, smp=1, cpu="EPYC,+svm", nic="e1000", machine="pc",
                 modules=(), icount=False, extra=(), boot=None, limit=300, image=None, net=True, accel=ACCEL, fds=()):
        self.port = free_port() if net else None
        self.dir = Path(tempfile.mkdtemp(prefix="socle-"))
        self.monitor_path = self.dir / "monitor"
        args = ["timeout", "-k", "5", str(limit), "qemu-system-x86_64", "-accel", accel, "-cpu", cpu, "-smp", str(smp), "-m", str(mem),
                "-machine", machine, "-display", "none", "-serial", "stdio", "-no-reboot",
                "-monitor", f"unix:{self.monitor_path},server=on,wait=off"]
        if icount:
            args += ["-icount", "shift=0,sleep=off", "-seed", "1", "-rtc", "base=2024-01-01,clock=vm"]
        if net:
            args += ["-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{self.port}-:8080" + (boot or {}).get("netdev", ""),
                     "-device", f"{nic},netdev=n0" + (boot or {}).get("nic", "")]
        else:
            args += ["-nic", "none"]
        if boot:
            args += boot["args"]
        else:
            args += ["-kernel", str(image or IMAGE), "-append", options]
            if modules:
                args += ["-initrd", ",".join(modules)]
        self.proc = subprocess.Popen(args + list(extra), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(self.dir / "stderr", "wb"),
                                     pass_fds=fds)
        self.serial = Serial(self.proc.stdout, self.dir / "stderr")
        self.api = Api(self.port) if net else None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()

    def ready(self, timeout=30):
        self.serial.wait(READY, timeout)
        return self

    def type(self, text):
        """Keys at the serial console."""
        self.proc.stdin.write(text.encode("latin-1"))
        self.proc.stdin.flush()

    def monitor(self, command):
        """One command to QEMU's monitor, its answer as text."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(str(self.monitor_path))
            text = b""
            while not text.endswith(b"(qemu) "):
                text += s.recv(65536)
            s.sendall(command.encode() + b"\n")
            text = b""
            while not text.endswith(b"(qemu) "):
                text += s.recv(65536)
        return text.decode(errors="replace").split("\n", 1)[-1].rsplit("(qemu)", 1)[0]

    def kill(self):
        """As if the power went: at once, whatever it is doing. `timeout` passes no SIGKILL on, so both get one. The
        emulator has ended when this returns, and with it its locks on the drives' files."""
        if self.proc.poll() is not None:
            return
        children = [int(child) for child in Path(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children").read_text().split()]
        ends = [os.pidfd_open(child) for child in children]
        for child in children:
            os.kill(child, signal.SIGKILL)
        self.proc.kill()
        self.proc.wait()
        for end in ends:
            select.select([end], [], [], 30)
            os.close(end)

    def close(self):
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(10)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def wait_end(self, timeout=30):
        return self.proc.wait(timeout)


def modules(*pairs):
    """Boot modules for Host(modules=...): (file, name) pairs."""
    return [f"{file} name={name}" for file, name in pairs]


def config_file(directory, vms, name="socle.json"):
    path = Path(directory) / name
    path.write_text(json.dumps({"vms": vms}))
    return str(path)
