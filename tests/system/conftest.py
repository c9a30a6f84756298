# SPDX-License-Identifier: BSD-2-Clause
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "lib"))
from host import Host  # noqa: E402


@pytest.fixture(scope="module")
def host():
    """One machine for the tests of a file; each test cleans up its VMs and images."""
    with Host(options="ip=dhcp mgmt.insecure=1 test.hooks=1", mem=1024, smp=2) as h:
        h.ready()
        yield h
        print(h.serial.text[-3000:])  # shown when a test or its clean-up failed


@pytest.fixture
def clean(host):
    """The host, and a check that nothing stayed behind."""
    yield host
    host.api.remove_vms()
    for image in host.api.get("/v1/images")["items"]:
        host.api.delete(f"/v1/images/{image['name']}")
