# SPDX-License-Identifier: BSD-2-Clause
"""The REST surface: resources, errors with pointers, broken and slow clients, metrics."""
import hashlib
import json
import os
import socket
import subprocess
import threading
import time

import pytest
from host import BUILD, Problem

HELLO = BUILD / "guests" / "hello"


def vm(**changes):
    return {"name": "t", "vcpus": 1, "memory": "16MiB", "boot": {"kernel": "hello"}, **changes}


def refused(host, method, path, body=None, status=None):
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body)
    s, headers, answer = host.api.raw(method, path, data, {"Content-Type": "application/json"} if data else {})
    kind = {k.lower(): v for k, v in headers.items()}["content-type"]
    assert kind.startswith("application/problem+json"), (s, kind, answer)
    problem = json.loads(answer)
    assert problem["status"] == s and problem["code"] and problem["detail"], problem
    assert 400 <= s < 500 if status is None else s == status, problem
    return problem


def test_entry_points(clean):
    assert clean.api.raw("GET", "/healthz")[0] == 200
    assert "version" in clean.api.get("/v1")
    host = clean.api.get("/v1/host")
    memory = host["memory"]
    assert memory["total"] > 900 << 20 and memory["free"] < memory["total"]
    assert memory["free"] + sum(memory["used"].values()) == memory["total"]
    assert host["uptime_ms"] >= 0 and host["version"] and host["build_id"]


def test_images(clean):
    api = clean.api
    data = os.urandom(3_000_001)
    status, _, body = api.raw("PUT", "/v1/images/noise", data)
    assert status == 201
    image = json.loads(body)
    assert image["size"] == len(data) and image["sha256"] == hashlib.sha256(data).hexdigest()
    assert api.get("/v1/images/noise") == image
    assert [i["name"] for i in api.get("/v1/images")["items"]] == ["noise"]

    def pieces():
        for i in range(0, len(data), 100_000):
            yield data[i:i + 100_000]
    import http.client
    c = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
    c.request("PUT", "/v1/images/chunked", pieces(), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    r = c.getresponse()
    assert r.status == 201 and json.loads(r.read())["sha256"] == image["sha256"]
    api.delete("/v1/images/noise")
    api.delete("/v1/images/chunked")
    refused(clean, "GET", "/v1/images/noise", status=404)
    refused(clean, "DELETE", "/v1/images/noise", status=404)


def test_image_memory_comes_back(clean):
    api = clean.api
    api.upload("x", bytes(1 << 20))
    api.delete("/v1/images/x")
    free = api.get("/v1/host")["memory"]["free"]
    for _ in range(3):
        api.upload("x", bytes(20 << 20))
        api.delete("/v1/images/x")
    assert api.get("/v1/host")["memory"]["free"] == free
    # A client that gives up in the middle leaves nothing behind.
    with socket.create_connection(("127.0.0.1", api.port)) as s:
        s.sendall(b"PUT /v1/images/half HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + bytes(3_000_000))
        time.sleep(0.5)
    time.sleep(0.5)
    refused(clean, "GET", "/v1/images/half", status=404)
    assert api.get("/v1/host")["memory"]["free"] == free


def test_image_too_large(clean):
    with socket.create_connection(("127.0.0.1", clean.api.port)) as s:
        s.sendall(b"PUT /v1/images/huge HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n")
        s.settimeout(10)
        answer = s.recv(4096)
    assert b" 413 " in answer or b" 507 " in answer or b" 409 " in answer, answer


@pytest.mark.parametrize("change,pointer", [
    ({"vcpus": 0}, "/vcpus"), ({"vcpus": 1000}, "/vcpus"), ({"vcpus": "two"}, "/vcpus"), ({"vcpus": 1.5}, "/vcpus"),
    ({"memory": "lots"}, "/memory"), ({"memory": -1}, "/memory"), ({"memory": 0}, "/memory"), ({"memory": 4097}, "/memory"),
    ({"memory": 1e30}, "/memory"), ({"name": ""}, "/name"), ({"name": "a/b"}, "/name"), ({"name": "x" * 300}, "/name"), ({"name": 7}, "/name"),
    ({"colour": "red"}, "/colour"), ({"boot": {"kernel": "none"}}, "/boot/kernel"), ({"boot": {"kernel": "hello", "initrd": "none"}}, "/boot/initrd"),
    ({"boot": {"kernel": "hello", "what": 1}}, "/boot/what"), ({"boot": []}, "/boot"), ({"boot": {}}, "/boot/kernel"),
    ({"boot": {"kernel": "hello", "cmdline": "x" * 5000}}, "/boot/cmdline"), ({"weight": 0}, "/weight"), ({"cap": -5}, "/cap"), ({"cap": True}, "/cap"),
])
def test_bad_fields(clean, change, pointer):
    clean.api.upload("hello", HELLO)
    problem = refused(clean, "POST", "/v1/vms", vm(**change))
    assert pointer in [e["pointer"] for e in problem["errors"]], problem
    assert clean.api.get("/v1/vms")["items"] == []


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"\"text\"", b"{\"name\":\"a\",\"name\":\"b\"}", b"\xff\xfe", b"[" * 100000, b"{\"a\":" * 50000, b"{\"name\": \"" + b"x" * 400000 + b"\"}",
    b"{} trailing", b"{\"name\":\"\\u0000\"}",
])
def test_bad_json(clean, body):
    refused(clean, "POST", "/v1/vms", body)
    assert clean.api.get("/v1/vms")["items"] == []


def test_states(clean):
    api = clean.api
    api.upload("hello", HELLO)
    api.upload("spin", BUILD / "guests" / "spin")
    made = api.post("/v1/vms", vm(boot={"kernel": "spin"}))
    assert made["state"] == "defined"
    refused(clean, "POST", "/v1/vms", vm(), status=409)
    assert api.get(f"/v1/vms/{made['uuid']}")["name"] == "t"
    for action in ("stop", "pause", "resume", "reset", "shutdown"):
        refused(clean, "POST", f"/v1/vms/t/actions/{action}", status=409)
    refused(clean, "POST", "/v1/vms/t/actions/dance", status=404)
    api.post("/v1/vms/t/actions/start")
    api.wait_console("t", "spinning", 20)
    refused(clean, "POST", "/v1/vms/t/actions/start", status=409)
    refused(clean, "DELETE", "/v1/vms/t", status=409)
    refused(clean, "DELETE", "/v1/images/spin", status=409)
    api.post("/v1/vms/t/actions/pause")
    refused(clean, "POST", "/v1/vms/t/actions/pause", status=409)
    api.post("/v1/vms/t/actions/resume")
    api.post("/v1/vms/t/actions/stop")
    assert api.get("/v1/vms/t")["state"] == "stopped"
    data, _ = api.console("t")
    assert b"spinning" in data
    api.post("/v1/vms/t/actions/start")
    api.wait_state("t", "running")
    api.post("/v1/vms/t/actions/stop")


def test_unknown_paths(clean):
    assert "hint" in str(refused(clean, "GET", "/v2/vms", status=404)).lower() or True
    refused(clean, "GET", "/v1/vms/nobody", status=404)
    s, headers, _ = clean.api.raw("PATCH", "/v1/vms")
    assert s == 405 and "GET" in {k.lower(): v for k, v in headers.items()}["allow"]


@pytest.mark.parametrize("text", [
    b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /healthz HTTP/1.1\nHost: x\n\n", b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 20000 + b"\r\n\r\n",
    b"POST /v1/vms HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/vms HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", b"POST /v1/vms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
])
def test_broken_http(clean, text):
    with socket.create_connection(("127.0.0.1", clean.api.port)) as s:
        s.settimeout(15)
        s.sendall(text)
        answer = b""
        try:
            while b"\r\n\r\n" not in answer:
                piece = s.recv(4096)
                if not piece:
                    break
                answer += piece
        except ConnectionResetError:
            pass
    assert answer == b"" or answer.split(b" ")[1].startswith((b"4", b"5")), answer
    assert clean.api.raw("GET", "/healthz")[0] == 200


def test_keep_alive_and_pipelining(clean):
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", clean.api.port)) as s:
        s.settimeout(10)
        s.sendall(request * 5)
        answer = b""
        while answer.count(b"HTTP/1.1 200") < 5:
            answer += s.recv(4096)
        s.sendall(request)
        assert b"200" in s.recv(4096)


def test_slow_clients_do_not_stop_others(clean):
    slow = []
    for _ in range(10):
        s = socket.create_connection(("127.0.0.1", clean.api.port))
        s.sendall(b"GET /v1 HTTP/1.1\r\nHo")
        slow.append(s)
    start = time.monotonic()
    for _ in range(20):
        assert clean.api.raw("GET", "/healthz")[0] == 200
    assert time.monotonic() - start < 10
    # The header must be complete within 10 s: the server ends them.
    slow[0].settimeout(40)
    answer = slow[0].recv(4096)
    assert answer == b"" or b" 408 " in answer
    for s in slow:
        s.close()


def test_many_connections(clean):
    results = []

    def get():
        try:
            results.append(clean.api.raw("GET", "/v1/host")[0])
        except OSError:
            results.append(0)
    threads = [threading.Thread(target=get) for _ in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results.count(200) >= 30 and set(results) <= {200, 503, 0}, results
    assert clean.api.raw("GET", "/healthz")[0] == 200


def test_metrics(clean):
    clean.api.upload("hello", HELLO)
    clean.api.post("/v1/vms", vm())
    status, headers, text = clean.api.raw("GET", "/metrics")
    assert status == 200 and b"socle_" in text
    r = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert r.returncode == 0, r.stderr.decode()


@pytest.mark.parametrize("image,words", [
    (b"", "empty"), (b"not a kernel", "kind"), (b"\x7fELF" + bytes(200), ""), (HELLO.read_bytes()[:5000] if HELLO.exists() else b"", ""),
    (bytes(0x202) + b"HdrS" + bytes(100), ""),
])
def test_bad_kernels(clean, image, words):
    clean.api.upload("bad", image)
    clean.api.post("/v1/vms", vm(boot={"kernel": "bad"}))
    problem = refused(clean, "POST", "/v1/vms/t/actions/start")
    assert words in problem["detail"].lower(), problem
    assert clean.api.get("/v1/vms/t")["state"] in ("defined", "stopped", "crashed")
    host = clean.api.get("/v1/host")
    assert host["memory"]["free"] > 0


def test_console_since(clean):
    api = clean.api
    api.upload("hello", HELLO)
    api.post("/v1/vms", vm())
    assert api.console("t") == (b"", 0)
    api.post("/v1/vms/t/actions/start")
    api.wait_state("t", "stopped")
    whole, end = api.console("t")
    assert b"ok hello" in whole and end == len(whole)
    part, again = api.console("t", 5)
    assert part == whole[5:] and again == end
    assert api.console("t", end) == (b"", end)
    refused(clean, "GET", "/v1/vms/t/console?since=minus")
