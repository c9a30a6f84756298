# SPDX-License-Identifier: BSD-2-Clause
"""The tiny guests of tests/guests: their VM settings and what they must say on the machine's serial line."""
import json

from host import ROOT

GUESTS = sorted(p.parent.name for p in (ROOT / "tests" / "guests").glob("*/main.c"))


def settings(name):
    file = ROOT / "tests" / "guests" / name / "vm.json"
    return json.loads(file.read_text()) if file.exists() else {}


def expected(name):
    """"ok NAME", or what its folder's `expect` file says: regular expressions that appear in this order."""
    file = ROOT / "tests" / "guests" / name / "expect"
    return file.read_text().splitlines() if file.exists() else [rf"\[{name}\] ok {name}$"]
