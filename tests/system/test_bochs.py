# SPDX-License-Identifier: BSD-2-Clause
"""Bochs' ryzen model, a second opinion on SVM that is stricter than QEMU's: 64-bit exit codes, next-RIP, flush by ASID, #GP on
registers the CPU does not have. The guests of tests/guests are boot modules of one machine; then two CPUs."""
import pytest
from models import RYZEN, fit, run_guests


def test_guests(tmp_path):
    run_guests(RYZEN, fit(RYZEN), tmp_path)


@pytest.mark.long
def test_slow_guests(tmp_path):
    run_guests(RYZEN, fit(RYZEN, slow=True), tmp_path)


def test_two_cpus(tmp_path):
    assert "hv up, 2 CPUs" in run_guests(RYZEN, ["hello", "ipi_storm", "smp"], tmp_path, cpus=2)
