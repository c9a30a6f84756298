# SPDX-License-Identifier: BSD-2-Clause
"""The whole main job on Bochs' CPUs: GRUB from an ISO, e1000, management, Debian's kernel uploaded over REST, a VM of two vCPUs, its
userspace on its console; then it is saved, and restored."""
import re

import pytest
from bochs import BochsHost
from models import INTEL, RYZEN, SKYLAKE, param

# The one that runs on every change. The self-tests of the kernel's ciphers would take half of the time.
QUICK = SKYLAKE
BOOT = {"kernel": "vmlinuz", "initrd": "initrd", "cmdline": "console=ttyS0 quiet cryptomgr.notests"}
# More instructions a second than Bochs manages: then nothing but idling waits for the clock.
IPS = 150_000_000


def run(model, cpus):
    with BochsHost(model=model.name, cpus=cpus, mem=512, ips=IPS) as h:
        api = h.ready().api
        api.upload_linux()
        assert " 2 CPUs" in api.start_linux({"name": "deb", "vcpus": 2, "memory": "192MiB", "boot": BOOT}, 200)
        position = api.console("deb")[1]
        api.raw("POST", "/v1/vms/deb/console", b"echo $((6*7))-is-the-answer\n")
        api.wait_console("deb", "42-is-the-answer", 30, since=position)
        for verb in ("save", "restore"):
            job = api.post(f"/v1/vms/deb/actions/{verb}", {"image": "state"})
            while job["state"] == "running":
                job = api.get(f"/v1/operations/{job['id']}?wait=20")
            assert job["state"] == "succeeded", job
        position = api.console("deb")[1]
        api.raw("POST", "/v1/vms/deb/console", b"dmesg | tail -n 5; echo $((6*9))-is-the-question\n")
        text = api.wait_console("deb", "54-is-the-question", 60, since=position)
        assert not re.search("stall|lockup|unstable|BUG", text), text
        api.post("/v1/vms/deb/actions/shutdown")
        assert "power" in str(api.wait_state("deb", "stopped", 60)["reason"]).lower()
        assert h.unknown_msrs() <= model.probed


@pytest.mark.parametrize("model", [param(m, *([] if m is QUICK else [pytest.mark.long])) for m in [RYZEN, *INTEL]])
def test_one_cpu(model):
    run(model, 1)


@pytest.mark.long
@pytest.mark.parametrize("model", [param(RYZEN), param(SKYLAKE)])
def test_two_cpus(model):
    run(model, 2)
