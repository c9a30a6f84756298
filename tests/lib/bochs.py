# SPDX-License-Identifier: BSD-2-Clause
"""Bochs as a second opinion, and the only emulator with Intel's extension: an ISO booted headless, COM1 to a file, the API through
the emulator's own user-mode network."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from host import IMAGE, READY, ROOT, Api, Serial, free_port

RC = """\
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, serial=1, parallel=0, iodebug=1
config_interface: textconfig
display_library: term
memory: guest={mem}, host={mem}
romimage: file=$BXSHARE/BIOS-bochs-latest
vgaromimage: file=$BXSHARE/VGABIOS-lgpl-latest
cpu: model={model}, count={cpus}, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs={badmsr}
clock: sync={clock}, time0=local
boot: cdrom
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={iso}, status=inserted
com1: enabled=1, mode=file, dev=serial.out
log: bochs.log
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
"""
NO_NIC = "pci: enabled=1, chipset=i440fx\n"
NIC = """\
pci: enabled=1, chipset=i440fx, slot1=e1000
e1000: enabled=1, mac=52:54:00:12:34:56, ethmod=slirp, script=slirp.conf
"""
IPS = 50_000_000  # instructions of a second, and what the TSC counts


def innermost(pid):
    while True:
        child = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
        if not child:
            return pid
        pid = int(child[0])


class FileSerial(Serial):
    """The serial line of a process that writes it to a file."""

    def __init__(self, path, alive):
        self.alive = alive
        super().__init__(open(path, "rb"))

    def _read(self, stream):
        while not self.ended:
            alive = self.alive()
            data = stream.read()
            with self.changed:
                self.text += data.decode(errors="replace").replace("\r", "")
                self.ended = not alive
                self.changed.notify_all()
            time.sleep(0.1)


def make_iso(directory, options, files, image=IMAGE):
    iso = Path(directory) / "bochs.iso"
    subprocess.run([ROOT / "tools" / "mkiso.sh", iso, image, options, *files], check=True)
    return iso


class BochsHost:
    """Bochs with Socle, in the manner of host.Host. `files` become boot modules, each named as the file. The clock: "none" goes as fast
    as it can and leaps while all CPUs are halted; "slowdown", for networks, never gets ahead of the world outside."""

    def __init__(self, options="ip=dhcp mgmt.insecure=1", files=(), model="ryzen", cpus=1, mem=256, net=True, clock=None, ips=IPS, badmsr=False,
                 limit=300, program="bochs", image=IMAGE):
        self.port = free_port() if net else None
        self.dir = Path(tempfile.mkdtemp(prefix="socle-bochs-"))
        self.started = time.monotonic()
        iso = make_iso(self.dir, options, files, image)
        clock = clock or ("slowdown" if net else "none")
        rc = RC.format(mem=mem, model=model, cpus=cpus, iso=iso, ips=ips, clock=clock, badmsr=int(badmsr)) + (NIC if net else NO_NIC)
        (self.dir / "rc").write_text(rc)
        # The first line must be this one.
        (self.dir / "slirp.conf").write_text(f"# slirp config\nhostfwd = tcp:127.0.0.1:{self.port}-:8080\n")
        # Debian's build is the debugger's: the lines after "c" run when it is interrupted and show where the CPU was.
        (self.dir / "dbgrc").write_text("c\nregs\nsreg\ncreg\nu /8\nprint-stack 8\nq\n")
        (self.dir / "serial.out").write_bytes(b"")
        # The terminal display wants a terminal: script(1) is one.
        command = f"timeout --foreground -k 5 {limit} {program} -q -f rc -rc dbgrc"
        self.proc = subprocess.Popen(["script", "-qfc", command, "stdout.txt"], cwd=self.dir, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"})
        self.serial = FileSerial(self.dir / "serial.out", lambda: self.proc.poll() is None)
        self.api = Api(self.port, timeout=120) if net else None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop()
        if kind:
            print(self.state())  # pytest shows it
        shutil.rmtree(self.dir, ignore_errors=True)

    def ready(self, timeout=120):
        self.serial.wait(READY, timeout)
        return self

    @property
    def log(self):
        return (self.dir / "bochs.log").read_text(errors="replace")

    def unknown_msrs(self):
        """MSRs touched that the CPU does not have."""
        return set(re.findall(r"(?:RD|WR)MSR: Unknown register (0x\w+)", self.log))

    def state(self):
        """Where the CPU was when the machine was stopped, and what the emulator complained of."""
        out = (self.dir / "stdout.txt").read_text(errors="replace").replace("\r", "").replace("\033", "")
        complaints = [line for line in self.log.splitlines() if "PANIC" in line or ">>" in line]
        return f"serial text ends:\n{self.serial.text[-2500:]}\nmachine:\n{out[-2500:]}\n" + "\n".join(complaints[-5:])

    def stop(self):
        if self.proc.poll() is None:
            leaf = innermost(self.proc.pid)
            os.kill(leaf, signal.SIGINT)
            try:
                self.proc.wait(3)
            except subprocess.TimeoutExpired:
                for pid in {leaf, self.proc.pid}:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
        self.proc.wait()
