# SPDX-License-Identifier: MIT
"""What libraries and people ask of a server out of habit: who is attached, which options hold."""

import os
import subprocess
import sys

import pytest
from redis.exceptions import ResponseError

import shoal
from conftest import SMALL, remove_segment

ATTACH_AND_STAY = """
import sys, shoal
client = shoal.Redis(sys.argv[1], daemon=False)
client.client_setname("theirs")
print(client.client_id(), flush=True)
sys.stdin.read()
"""


def test_a_client_finds_itself_in_the_list_by_its_name_and_by_its_id(r):
    r.client_setname("worker-1")
    lines = r.client_list()
    mine = [line for line in lines if line["name"] == "worker-1"]
    assert len(lines) == len(mine) == 1
    assert mine[0]["addr"] == f"/dev/shm/shoal.{r.connection_pool.name}:0"
    assert mine[0]["pid"] == str(os.getpid())
    assert mine[0]["id"] == str(r.client_id())
    assert r.client_list(client_id=[r.client_id()]) == lines
    assert r.client_list(_type="pubsub") == []


def test_client_info_has_the_numbers_that_redis_py_reads(name):
    client = shoal.Redis(name, db=2, client_name="me", **SMALL)
    info = client.client_info()
    assert (info["id"], info["db"], info["name"], info["multi"]) == (client.client_id(), 2, "me", -1)
    assert all(info[field] == 0 for field in ("age", "idle", "sub", "psub", "qbuf", "obl", "oll", "omem", "tot-mem"))


def test_each_process_is_listed_while_it_lives(name, r):
    code = [sys.executable, "-c", ATTACH_AND_STAY, name]
    r.ping()
    with subprocess.Popen(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        its_id = int(process.stdout.readline())
        lines = r.client_list()
        assert {line["pid"] for line in lines} == {str(os.getpid()), str(process.pid)}
        (line,) = r.client_list(client_id=[its_id])
        assert (line["pid"], line["name"], line["db"], line["role"]) == (str(process.pid), "", "-1", "client")
        process.kill()
        process.wait()
        assert r.client_list(client_id=[its_id]) == []
    assert [line["pid"] for line in r.client_list()] == [str(os.getpid())]


def test_a_forked_child_is_a_client_of_its_own(r):
    own = r.client_id()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, f"{r.client_id()} {len(r.client_list())}".encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    child, listed = os.read(reading, 100).split()
    os.close(reading)
    os.close(writing)
    assert int(child) != own == r.client_id()
    assert int(listed) == 2


@pytest.mark.asyncio
async def test_asyncio_lists_and_names_clients_too(name):
    client = shoal.asyncio.Redis(name, client_name="loop", **SMALL)
    assert await client.client_getname() in ("loop", b"loop")
    (line,) = await client.client_list()
    assert line["name"] == "loop"
    await client.aclose()


def test_client_name_is_the_name_of_each_session(name):
    client = shoal.Redis(name, client_name="me", decode_responses=True, **SMALL)
    assert client.client_getname() == "me"
    assert client.client().client_getname() == "me"
    with client.pipeline() as pipeline:
        assert pipeline.client_getname().execute() == ["me"]
    with pytest.raises(ResponseError, match="cannot contain spaces"):
        shoal.Redis(name, client_name="a b", **SMALL).ping()


def test_options_say_what_holds_for_this_segment(name):
    client = shoal.Redis(name, max_size=64 << 20, slots=9, daemon=False)
    options = client.config_get()
    assert options["maxmemory"] == str(64 << 20) == client.config_get("maxmemory")["maxmemory"]
    assert (options["maxclients"], options["databases"], options["maxmemory-policy"]) == ("9", "16", "noeviction")
    remove_segment(name)


def test_an_option_can_be_set_to_what_it_is_and_to_nothing_else(r):
    for option, value in r.config_get().items():
        assert r.config_set(option, value) is True
    assert r.config_set("maxmemory", "32mb", "appendonly", "no") is True
    for option, value in [("maxmemory", "1gb"), ("maxmemory-policy", "allkeys-lru"), ("requirepass", "secret")]:
        with pytest.raises(ResponseError, match=rf"argument '{option}'\) - can't set immutable config"):
            r.config_set(option, value)
    with pytest.raises(ResponseError, match="Unknown option or number of arguments for CONFIG SET - 'hz'"):
        r.config_set("hz", 10)


def test_idle_time_is_refused_rather_than_made_up(r):
    assert r.object("idletime", "k") is None
    r.set("k", "v")
    with pytest.raises(ResponseError, match="idle time not tracked"):
        r.object("idletime", "k")
