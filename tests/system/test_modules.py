# SPDX-License-Identifier: BSD-2-Clause
"""VMs as boot modules: socle.json, its errors, names of modules, the mirrored console; no network needed."""
import json

from host import BUILD, Host, config_file, modules

HELLO = BUILD / "guests" / "hello"
GOOD = {"name": "good", "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "hello"}, "autostart": True}


def test_appliance_without_network(tmp_path):
    files = modules((HELLO, "hello"), (config_file(tmp_path, [GOOD, {**GOOD, "name": "other"}]), "socle.json"))
    with Host(options="console.guests=good", net=False, mem=256, modules=files, limit=60) as h:
        h.serial.wait(r"\[good\] ok hello$", 30)
        h.serial.wait(r"VM other is stopped", 30)
        assert "[other]" not in h.serial.text


def test_configuration_errors(tmp_path):
    vms = [{**GOOD, "vcpus": 99}, {**GOOD, "name": "typo", "autostrat": True}, {**GOOD, "name": "gone", "boot": {"kernel": "nowhere"}}, GOOD, GOOD]
    files = modules((HELLO, "hello"), (config_file(tmp_path, vms), "socle.json"))
    with Host(options="console.guests=all ip=dhcp mgmt.insecure=1", mem=256, modules=files, limit=60) as h:
        h.serial.wait(r"\[good\] ok hello$", 30)
        h.ready()
        errors = json.dumps(h.api.get("/v1/host"))
        for word in ("vcpus", "autostrat", "nowhere"):
            assert word in errors and word in h.serial.text
        assert [v["name"] for v in h.api.get("/v1/vms")["items"]] == ["good"]


def test_configuration_syntax(tmp_path):
    bad = tmp_path / "socle.json"
    bad.write_text('{"vms": [\n  {"name": "a",\n   oops}\n]}')
    with Host(options="ip=dhcp mgmt.insecure=1", mem=256, modules=modules((HELLO, "hello"), (bad, "socle.json")), limit=60) as h:
        h.serial.wait(r"socle\.json.*line 3", 30)
        h.ready()
        assert "line 3" in json.dumps(h.api.get("/v1/host"))
        assert [i["name"] for i in h.api.get("/v1/images")["items"]] != []


def test_module_without_name_option(tmp_path):
    copy = tmp_path / "my-kernel"
    copy.write_bytes(HELLO.read_bytes())
    with Host(mem=256, modules=[str(copy)], limit=60) as h:
        h.ready()
        image = h.api.get("/v1/images/my-kernel")
        assert image["size"] == HELLO.stat().st_size
