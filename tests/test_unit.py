# SPDX-License-Identifier: BSD-2-Clause
"""Unit tests on the host: each tests/unit/test_*.c is one program under ASan and UBSan."""
import subprocess

import pytest
from hostbuild import ROOT, build

UNIT = sorted((ROOT / "tests" / "unit").glob("test_*.c"))


@pytest.mark.parametrize("test", UNIT, ids=lambda p: p.stem)
def test_unit(test):
    r = subprocess.run([build(test)], cwd=ROOT, capture_output=True, text=True, timeout=120, errors="replace")
    assert r.returncode == 0, r.stdout[-3000:] + r.stderr[-6000:]
