# SPDX-License-Identifier: BSD-2-Clause
"""Every parser of outside data under libFuzzer: a short run in `make test`, a long one with `make fuzz`."""
import os
import subprocess

import pytest
from hostbuild import BUILD, ROOT, build

FUZZ = sorted((ROOT / "tests" / "fuzz").glob("fuzz_*.c"))
FUZZ_SECONDS = os.environ.get("FUZZ_SECONDS", "5")


@pytest.mark.parametrize("test", FUZZ, ids=lambda p: p.stem)
def test_fuzz(test):
    corpus = BUILD / "fuzz" / (test.stem + ".corpus")
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = ROOT / "tests" / "fuzz" / "seeds" / test.stem[5:]
    folders = [str(corpus)] + ([str(seeds)] if seeds.is_dir() else [])
    r = subprocess.run([str(build(test, fuzz=True)), f"-max_total_time={FUZZ_SECONDS}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
                        f"-artifact_prefix={corpus}/crash-"] + folders,
                       cwd=ROOT, capture_output=True, text=True, timeout=int(FUZZ_SECONDS) + 120, errors="replace")
    assert r.returncode == 0, r.stderr[-6000:]
