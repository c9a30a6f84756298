# SPDX-License-Identifier: BSD-2-Clause
"""Paths for the tests, and the closing line: N passed, N failed."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "lib"))


def pytest_configure(config):
    config.addinivalue_line("markers", "long: not in `make test`; `make test-intel` runs them")


def pytest_unconfigure(config):
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    n = {kind: len(reporter.stats.get(kind, [])) for kind in ("passed", "failed", "error", "skipped")}
    line = f"{n['passed']} passed, {n['failed'] + n['error']} failed"
    if n["skipped"]:
        line += f", {n['skipped']} skipped"
    print(line)
