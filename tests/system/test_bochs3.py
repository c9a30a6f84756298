# SPDX-License-Identifier: BSD-2-Clause
"""Bochs 3.0, which has posted interrupts: fetched when it is asked for (tools/getbochs3.sh), nothing is installed."""
import subprocess

import pytest
from host import BUILD, ROOT
from models import SANDY_BRIDGE, SKYLAKE, fit, param, run_guests

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def program():
    got = subprocess.run([ROOT / "tools" / "getbochs3.sh", BUILD / "bochs3"], capture_output=True, text=True)
    if got.returncode:
        pytest.skip(f"Bochs 3.0 cannot be had: {got.stderr.strip()[-300:]}")
    return BUILD / "bochs3" / "bochs"


@pytest.mark.parametrize("model", [param(SKYLAKE), param(SANDY_BRIDGE)])
def test_guests(model, program, tmp_path):
    text = run_guests(model, fit(model), tmp_path, program=program)
    assert ("posted interrupts" in text) == (model is SKYLAKE)


@pytest.mark.parametrize("model", [param(SKYLAKE)])
def test_two_cpus(model, program, tmp_path):
    assert "hv up, 2 CPUs" in run_guests(model, ["hello", "ipi_storm", "smp"], tmp_path, program=program, cpus=2)
