#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The demo behind `make run`: boots the image in QEMU, makes a Linux VM over the API, and puts you on its console."""
import http.client
import json
import os
import select
import socket
import subprocess
import sys
import termios
import threading
import time
import tty
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
LOG = BUILD / "run.log"
LEAVE = b"\x1d"  # Ctrl-]


def nested_kvm():
    """KVM is used only when this machine's CPU has SVM or VMX itself and its kernel offers them to guests."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
    except (OSError, IndexError):
        return None
    for flag, module in (("svm", "kvm_amd"), ("vmx", "kvm_intel")):
        nested = Path(f"/sys/module/{module}/parameters/nested")
        if flag in flags and os.access("/dev/kvm", os.R_OK | os.W_OK) and nested.exists() and nested.read_text().strip() in ("1", "Y"):
            return flag
    return None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_qemu(port):
    kvm = nested_kvm()
    cpu = ["-accel", "kvm", "-cpu", "host"] if kvm == "svm" else ["-accel", "tcg,thread=multi", "-cpu", "EPYC,+svm"]
    print(f"Booting build/socle.elf in QEMU ({'KVM' if kvm == 'svm' else 'emulated CPU: slower than hardware'}); its log: {LOG.relative_to(ROOT)}", flush=True)
    return subprocess.Popen(["qemu-system-x86_64", *cpu, "-smp", "2", "-m", "1024", "-display", "none", "-serial", f"file:{LOG}", "-no-reboot",
                             "-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{port}-:8080", "-device", "e1000,netdev=n0",
                             "-kernel", str(BUILD / "socle.elf"), "-append", "ip=dhcp mgmt.insecure=1"],
                            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def wait_ready(qemu):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        text = LOG.read_text(errors="replace") if LOG.exists() else ""
        for line in text.splitlines():
            if "management ready" in line:
                print(line, flush=True)
                return
        if qemu.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"Socle did not come up. The end of {LOG}:\n{text[-2000:]}")


class Api:
    def __init__(self, port):
        self.c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def call(self, method, path, body=None, kind="application/json"):
        self.c.request(method, path, body=body, headers={"Content-Type": kind})
        r = self.c.getresponse()
        data = r.read()
        if r.status >= 300:
            sys.exit(f"{method} {path}: {r.status} {data.decode(errors='replace')}")
        return r, data

    def upload(self, name, path):
        data = path.read_bytes()
        print(f"  PUT /v1/images/{name} ({len(data) / 1e6:.1f} MB)", flush=True)
        self.call("PUT", f"/v1/images/{name}", data, "application/octet-stream")


def make_vm(api):
    api.upload("vmlinuz", BUILD / "guest" / "vmlinuz")
    api.upload("initrd", BUILD / "guest" / "initrd.gz")
    vm = {"name": "demo", "vcpus": 1, "memory": "256MiB", "boot": {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=ttyS0"}}
    print(f"  POST /v1/vms {json.dumps(vm)}", flush=True)
    api.call("POST", "/v1/vms", json.dumps(vm))
    api.call("POST", "/v1/vms/demo/actions/start")


def show_console(api, stop):
    since = 0
    while not stop.is_set():
        r, data = api.call("GET", f"/v1/vms/demo/console?since={since}")
        since = int(r.getheader("Socle-Console-Next"))
        if data:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            stop.wait(0.05)


def type_console(api):
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], 0.5)
        if not ready:
            continue
        keys = os.read(sys.stdin.fileno(), 256)
        if not keys or LEAVE in keys:
            return
        api.call("POST", "/v1/vms/demo/console", keys, "application/octet-stream")


def console(port):
    stop = threading.Event()
    reader = threading.Thread(target=show_console, args=(Api(port), stop), daemon=True)
    if not sys.stdin.isatty():
        print("No terminal: the guest's console for 20 seconds.", flush=True)
        reader.start()
        time.sleep(20)
        stop.set()
        return
    print("The guest's console; Ctrl-] leaves and ends the machine.\r", flush=True)
    saved = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        reader.start()
        type_console(Api(port))
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)
        stop.set()


def main():
    port = free_port()
    LOG.unlink(missing_ok=True)
    qemu = start_qemu(port)
    try:
        wait_ready(qemu)
        print(f"The API is at http://127.0.0.1:{port}/v1 while this runs.", flush=True)
        make_vm(Api(port))
        console(port)
    except KeyboardInterrupt:
        pass
    finally:
        qemu.terminate()
        qemu.wait()
    print("\nThe machine is off.")


if __name__ == "__main__":
    main()
