# SPDX-License-Identifier: BSD-2-Clause
"""VMX, which only Bochs plays: the guests of tests/guests on a CPU that virtualises the APIC and on one that does not; two CPUs; and CPUs
that lack what Socle needs, where everything works but starting VMs."""
import re

import pytest
from bochs import BochsHost
from host import BUILD, Problem, config_file
from models import INTEL, REFUSING, SANDY_BRIDGE, SKYLAKE, fit, param, run_guests

HELLO = {"name": "hello", "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "hello"}, "autostart": True}


@pytest.mark.parametrize("model", [param(SKYLAKE), param(SANDY_BRIDGE, pytest.mark.long)])
def test_guests(model, tmp_path):
    run_guests(model, fit(model), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("model", map(param, INTEL))
def test_slow_guests(model, tmp_path):
    run_guests(model, fit(model, slow=True), tmp_path)


@pytest.mark.parametrize("model", [param(SKYLAKE), param(SANDY_BRIDGE, pytest.mark.long)])
def test_two_cpus(model, tmp_path):
    assert "hv up, 2 CPUs" in run_guests(model, ["hello", "ipi_storm", "smp"], tmp_path, cpus=2)


@pytest.mark.parametrize("model, reason", REFUSING, ids=[r[0] for r in REFUSING])
def test_refusal(model, reason, tmp_path):
    """The reason is plain on the serial line, in /v1/host and in the answer to a start."""
    files = [BUILD / "guests" / "hello", config_file(tmp_path, [HELLO])]
    with BochsHost("ip=dhcp mgmt.insecure=1", files, model=model) as h:
        h.ready()
        assert re.search(rf"virtual machines cannot be started: .*{reason}", h.serial.text)
        assert re.search(rf"autostart: hello: this machine cannot run VMs: .*{reason}", h.serial.text)
        told = h.api.get("/v1/host")["virtualization"]
        assert told["kind"] == "none" and reason in told["reason"], told
        with pytest.raises(Problem, match=reason) as refused:
            h.api.post("/v1/vms/hello/actions/start")
        assert refused.value.status == 409
        assert not h.unknown_msrs()
