# SPDX-License-Identifier: BSD-2-Clause
"""The figures hold their bounds; measured by tests/bench.py under -icount, so they are the same in every run."""
import sys

import pytest
from host import ROOT

sys.path.insert(0, str(ROOT / "tests"))
import bench  # noqa: E402

NAMES = {
    bench.exits: ["cpuid", "rdmsr", "wrmsr", "port_nobody", "port_vmm", "mmio_nobody", "doorbell_port", "doorbell_mmio", "self_ipi", "eoi", "hypercall", "hlt_self_ipi", "timer_wake", "rng_request"],
    bench.ready: ["ready_ms"],
    bench.memory: ["host_kib", "guest_kib"],
    bench.create: ["create_minstr"],
    bench.linux: ["linux_ms"],
    bench.linux_read: ["linux_read"],
    bench.network: ["ping_gateway_us", "ping_guest_us", "tcp_per_kib"],
    bench.image: ["image_kib"],
}


@pytest.mark.parametrize("model", ["corei7_skylake_x", "corei7_sandy_bridge_2600k"])
def test_exits_on_intel(model, tmp_path):
    """The same bounds on VMX; without speculation defences, as TCG needs none."""
    result = bench.exits_bochs(model, tmp_path, "mitigations=off")
    over = [f"{n}: {v} (bound {bench.BOUNDS[n][3]})" for n, v in result.items() if v > bench.BOUNDS[n][3]]
    assert sorted(result) == sorted(NAMES[bench.exits]) and not over, over


@pytest.mark.parametrize("part", bench.PARTS, ids=lambda p: p.__name__)
def test_bounds(part):
    result = bench.measure([part])
    over = [f"{n}: {result.get(n, 'not measured')} (bound {bench.BOUNDS[n][3]})" for n in NAMES[part] if n not in result or result[n] > bench.BOUNDS[n][3]]
    print(result)
    assert not over, over
