# SPDX-License-Identifier: BSD-2-Clause
"""The tiny guests of tests/guests: each is booted as a module, no network, and must say "ok NAME" (or what its
folder's `expect` file says: regular expressions that appear in this order on the machine's serial line)."""
import pytest
from guests import GUESTS, expected, settings
from host import BUILD, Host, config_file, modules


def run(name, tmp_path, **host):
    own = settings(name)
    smp = own.pop("host_cpus", 1)
    vm = {"name": name, "vcpus": 1, "memory": "16MiB", "boot": {"kernel": name}, "autostart": True, **own}
    config = config_file(tmp_path, [vm])
    files = modules((BUILD / "guests" / name, name), (config, "socle.json"))
    with Host(options="console.guests=all", mem=256, net=False, modules=files, limit=60, **{"smp": smp, **host}) as h:
        at = 0
        for pattern in expected(name):
            m = h.serial.wait(pattern, 40)
            assert m.start() >= at or at == 0
            at = m.end()
        assert f"FAILED {name}" not in h.serial.text, h.serial.text[-2000:]


@pytest.mark.parametrize("name", GUESTS)
def test_guest(name, tmp_path):
    run(name, tmp_path)
