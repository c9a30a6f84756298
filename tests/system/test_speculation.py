# SPDX-License-Identifier: BSD-2-Clause
"""Speculation defences: what is chosen, reported and switched by mitigations=; that hv runs guests with every one of them in force;
that its code has no indirect branch or return but through a thunk. No emulator speculates: whether they defend cannot be seen here."""
import re
import subprocess

import pytest
from host import BUILD, Host, config_file, modules

CR0_WP = 1 << 16
IMAGE_BASE, DIRECT = 0xffffffff80000000, 0xffff800000000000  # hv/mm/layout.h
PROG_DOMAIN = 1 << 32  # hv/cpu/speculation.h; the control kernel is program 1
ALL = ["retpoline", "rsb", "ibpb", "exit-ibpb", "l1d", "verw", "safe-ret", "clear-regs"]
# Models without the hypervisor bit are taken for the real ones.
MILAN = "EPYC-Milan,+svm"
EPYC, ZEN1, ZEN3, SKYLAKE = "EPYC,+svm", "EPYC,+svm,-hypervisor", "EPYC-Milan,+svm,-hypervisor", "Skylake-Server,-hypervisor"


def line(host):
    m = host.serial.wait(r"speculation: in force: (.*); needed but off: (.*); open: (.*)\n", 20)
    return [[] if part == "nothing" else part.split() for part in m.groups()]


def exits_vm(directory):
    vm = {"name": "exits", "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "exits"}, "autostart": True}
    return modules((BUILD / "guests" / "exits", "exits"), (config_file(directory, [vm]), "socle.json"))


def test_nothing_under_tcg_and_no_text_left_writable():
    with Host() as h:
        assert line(h) == [[], [], []]
        assert h.ready().api.get("/v1/host")["speculation"] == {"vulnerable": [], "open": [], "defences": [], "off": []}
        cr0 = int(re.search(r"CR0=([0-9a-f]+)", h.monitor("info registers"))[1], 16)
        assert cr0 & CR0_WP


@pytest.mark.parametrize("cpu", [EPYC, MILAN], ids=["zen1", "zen3"])
def test_all_forced_on(tmp_path, cpu):
    """Both kinds of safe returns; two CPUs, so that the other one does it too. A guest runs, so hv must see that this is TCG:
    what it does about TCG's interrupts would be missing."""
    options = "ip=dhcp mgmt.insecure=1 console.guests=all test.hooks=1 mitigations=" + ",".join(ALL)
    with Host(options=options, smp=2, mem=512, cpu=cpu, modules=exits_vm(tmp_path)) as h:
        assert sorted(line(h)[0]) == sorted(ALL)
        h.serial.wait(r"hv up, 2 CPUs", 20)
        h.serial.wait(r"ok exits", 120)
        said = h.ready().api.get("/v1/host")["speculation"]
        assert sorted(said["defences"]) == sorted(ALL)
        cr0 = int(re.search(r"CR0=([0-9a-f]+)", h.monitor("info registers"))[1], 16)
        assert cr0 & CR0_WP


@pytest.mark.parametrize("cpu,defences,missing,still", [
    (ZEN1, "retpoline rsb safe-ret clear-regs", "ibpb", "spectre-v1 spectre-v2"),
    (ZEN3, "retpoline rsb safe-ret clear-regs", "ibpb verw", "spectre-v1 spectre-v2 srso tsa"),
    (SKYLAKE, "retpoline rsb clear-regs", "ibpb l1d verw", "spectre-v1 spectre-v2 meltdown l1tf mds"),
], ids=["zen1", "zen3", "skylake"])
def test_chosen_for_the_cpu(cpu, defences, missing, still):
    """TCG hides what it does not emulate: old microcode, as far as hv can see."""
    with Host(cpu=cpu) as h:
        on, off, unclosed = line(h)
        said = h.ready().api.get("/v1/host")["speculation"]
    print(on, off, unclosed)
    assert (said["defences"], said["off"], said["open"]) == (on, off, unclosed)
    assert (on, off, unclosed) == (defences.split(), missing.split(), still.split())


def test_switched_off():
    with Host(cpu=ZEN1, options="ip=dhcp mgmt.insecure=1 mitigations=off") as h:
        on, off, unclosed = line(h)
        assert on == [] and off == ["retpoline", "rsb", "ibpb", "safe-ret", "clear-regs"]
        assert h.ready().api.get("/v1/host")["speculation"]["vulnerable"] == unclosed != []


def test_words_that_do_nothing_are_named():
    with Host(cpu=ZEN1, options="ip=dhcp mgmt.insecure=1 mitigations=no-rsb,ibrs,everything,no-verw") as h:
        h.serial.wait(r'mitigations=: "everything" means nothing here and is ignored', 20)
        h.serial.wait(r"mitigations=: this CPU does not offer ibrs", 20)
        assert line(h)[:2] == [["retpoline", "safe-ret", "clear-regs"], ["rsb", "ibpb"]]
        assert h.ready().api.get("/v1/host")["configuration_errors"] == []


def domain_of_boot_cpu(host):
    """cpus[0]->domain, out of the stopped machine's memory."""
    gdb = ["gdb", "-batch", "-nx", str(BUILD / "hv.debug"), "-ex", 'printf "%lu %lu\\n", (unsigned long)&cpus[0], (unsigned long)&((struct cpu *)0)->domain']
    at, offset = map(int, subprocess.run(gdb, check=True, capture_output=True, text=True).stdout.split())

    def word(address):
        base = IMAGE_BASE if address >= IMAGE_BASE else DIRECT
        return int(host.monitor(f"xp /1gx {address - base:#x}").split("0x")[-1], 16)
    return lambda: word(word(at) + offset)


def test_domain_follows_who_runs():
    """Two guests that spin on one CPU, and the control kernel between them."""
    with Host() as h:
        api = h.ready().api
        api.upload("spin", BUILD / "guests" / "spin")
        for name in "ab":
            api.post("/v1/vms", {"name": name, "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "spin"}})
            api.post(f"/v1/vms/{name}/actions/start")
        domain, seen = domain_of_boot_cpu(h), set()
        for _ in range(300):
            seen.add(domain())
            if {1, 2} <= seen:
                break
        assert {1, 2} <= seen <= {1, 2, PROG_DOMAIN | 1}, seen
        for name in "ab":
            api.post(f"/v1/vms/{name}/actions/stop")
        api.get("/v1/host")
        assert domain() == PROG_DOMAIN | 1


# ---- the code ----

def text():
    """hv's .text: its address, its bytes, its instructions as (address, mnemonic, operand, function)."""
    debug, raw = BUILD / "hv.debug", BUILD / "hv.text"
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", str(debug), str(raw)], check=True)
    out = subprocess.run(["objdump", "-d", "-j", ".text", str(debug)], check=True, capture_output=True, text=True).stdout
    code, function = [], ""
    for row in out.splitlines():
        m = re.match(r"([0-9a-f]+) <(.*)>:$", row)
        function = m[2] if m else function
        m = re.match(r"([0-9a-f]+):\t[0-9a-f ]+\t(?:bnd |notrack |cs |ds )*(\w+) *(.*)$", row.strip())
        if m:
            code.append((int(m[1], 16), m[2], m[3], function))
    return code[0][0], raw.read_bytes(), code


def symbols():
    out = subprocess.run(["nm", str(BUILD / "hv.debug")], check=True, capture_output=True, text=True).stdout
    return {name: int(value, 16) for value, _, name in (row.split() for row in out.splitlines() if len(row.split()) == 3)}


def test_branches_go_through_thunks_and_are_found():
    start, data, code = text()
    thunks = {a: n for n, a in symbols().items() if n.startswith("__x86_indirect_thunk_") or n == "__x86_return_thunk"}
    assert len(thunks) == 17
    users = {a for a, op, to, f in code if op in ("jmp", "call") and re.match(r"[0-9a-f]+ <", to) and int(to.split()[0], 16) in thunks}
    found = {start + i for i in range(len(data) - 5) if data[i] in (0xe8, 0xe9)
             and start + i + 5 + int.from_bytes(data[i + 1:i + 5], "little", signed=True) in thunks}
    assert found == users and len(users) > 500
    others = [f"{a:x} {op} {to} in {f}" for a, op, to, f in code if op.startswith("j") and op != "jmp" and re.search(r"<__x86_\w+>$", to)]
    assert not others, "a conditional branch to a thunk"
    bare = {f for a, op, to, f in code if op.startswith("ret") or op in ("jmp", "call") and to.startswith("*")}
    # The thunks' own; cpu_run_on runs at boot.
    assert bare <= {"__x86_return_thunk", "zen_safe_return", "zen_alias_page", "cpu_run_on"}, bare
