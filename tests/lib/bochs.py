# SPDX-License-Identifier: BSD-2-Clause
"""Bochs as a second opinion: boots an ISO headless, COM1 to a file, ends when a text appears or time is up."""
import os
import re
import signal
import subprocess
import time
from pathlib import Path

RC = """\
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, serial=1, parallel=0, iodebug=1
config_interface: textconfig
display_library: term
memory: guest={mem}, host={mem}
romimage: file=$BXSHARE/BIOS-bochs-latest
vgaromimage: file=$BXSHARE/VGABIOS-lgpl-latest
pci: enabled=1, chipset=i440fx
cpu: model={model}, count={cpus}, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=0
clock: sync=none, time0=local
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


def innermost(pid):
    while True:
        child = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
        if not child:
            return pid
        pid = int(child[0])


def run(iso, until, directory, model="ryzen", cpus=1, mem=256, limit=120, unless=r"FAILED|panic:"):
    """-> the serial text, which contains a match of `until`; AssertionError with the machine's state otherwise, and at once
    when `unless` matches."""
    directory = Path(directory)
    (directory / "rc").write_text(RC.format(mem=mem, model=model, cpus=cpus, iso=iso))
    # Debian's build is the debugger's: the lines after "c" run when it is interrupted and show where the CPU was.
    (directory / "dbgrc").write_text("c\nregs\nsreg\ncreg\nu /8\nprint-stack 8\nq\n")
    serial = directory / "serial.out"
    serial.write_bytes(b"")
    # The terminal display wants a terminal: script(1) is one.
    proc = subprocess.Popen(["script", "-qfc", "bochs -q -f rc -rc dbgrc", "stdout.txt"], cwd=directory, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"})
    deadline = time.monotonic() + limit
    text = ""
    try:
        while time.monotonic() < deadline and proc.poll() is None:
            text = serial.read_text(errors="replace").replace("\r", "")
            if re.search(until, text, re.M):
                return text
            if re.search(unless, text):
                break
            time.sleep(0.2)
    finally:
        if proc.poll() is None:
            leaf = innermost(proc.pid)
            os.kill(leaf, signal.SIGINT)
            time.sleep(1)
            for pid in {leaf, proc.pid}:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        proc.wait()
    text = serial.read_text(errors="replace").replace("\r", "")
    if re.search(until, text, re.M):
        return text
    state = (directory / "stdout.txt").read_text(errors="replace")[-2500:]
    panics = [line for line in (directory / "bochs.log").read_text(errors="replace").splitlines() if "PANIC" in line or ">>" in line][-5:]
    raise AssertionError(f"'{until}' did not appear in Bochs; serial text ends:\n{text[-2500:]}\n{state}\n{panics}")
