# SPDX-License-Identifier: MIT

import pytest
import redis

import shoal
from compare import CALLS, function, outcome
from conftest import SMALL


@pytest.mark.parametrize(
    "options", [{}, {"decode_responses": True}, {"protocol": 2}, {"protocol": 3, "legacy_responses": False}]
)
def test_each_call_returns_what_redis_py_returns(name, redis_server, server, options):
    ours = shoal.Redis(name, **SMALL, **options)
    theirs = redis.Redis(unix_socket_path=redis_server, **options)
    different = []
    for line in CALLS:
        call = function(line)
        got, expected = outcome(call, ours), outcome(call, theirs)
        if got != expected:
            different.append(f"{line}\n    shoal {got}\n    redis {expected}")
    theirs.close()
    assert not different, "\n".join(different)


def test_a_key_set_by_one_client_is_seen_by_another_of_the_same_name(name, r):
    r.set("k", "v")
    other = shoal.Redis(name, **SMALL)
    assert other.get("k") == b"v"


def test_databases_are_apart(name, r):
    r.set("k", "zero")
    assert shoal.Redis(name, db=1, **SMALL).get("k") is None


def test_select_lasts_for_a_client_with_a_session_of_its_own(name, r):
    own = r.client()
    own.select(2)
    own.execute_command("SET", "k", "two")
    assert own.execute_command("GET", "k") == b"two"
    assert r.get("k") is None
    assert shoal.Redis(name, db=2, **SMALL).get("k") == b"two"


def test_never_decode_gives_bytes_to_a_client_that_decodes(name):
    from redis.client import NEVER_DECODE

    client = shoal.Redis(name, decode_responses=True, **SMALL)
    client.set("k", "v")
    assert client.get("k") == "v"
    assert client.execute_command("GET", "k", **{NEVER_DECODE: True}) == b"v"


def test_undecodable_bytes_raise_as_in_redis_py(name):
    client = shoal.Redis(name, decode_responses=True, **SMALL)
    client.set("k", b"\xff")
    with pytest.raises(UnicodeDecodeError):
        client.get("k")
    with pytest.raises(UnicodeDecodeError):
        client.execute_command("GET", "k")
    assert client.set("k", "fine") and client.get("k") == "fine"


def test_another_encoding_is_honoured_both_ways(name):
    client = shoal.Redis(name, encoding="latin-1", decode_responses=True, **SMALL)
    client.set("ké", "vé")
    assert client.get("ké") == "vé"
    assert client.mget("ké", "none") == ["vé", None]
    assert shoal.Redis(name, **SMALL).get("ké".encode("latin-1")) == "vé".encode("latin-1")
    pipe = client.pipeline()
    pipe.get("ké")
    assert pipe.execute() == ["vé"]


def test_lenient_decoding_is_honoured(name):
    client = shoal.Redis(name, encoding_errors="replace", decode_responses=True, **SMALL)
    client.set("k", b"a\xff")
    assert client.get("k") == "a\ufffd"


def test_a_callback_of_ones_own_is_honoured_for_get_and_set(r):
    r.set("k", "v")
    r.set_response_callback("GET", lambda reply, **options: ("own", reply))
    assert r.get("k") == ("own", b"v")
    r.set_response_callback("set", lambda reply, **options: "done")
    assert r.set("k", "w") == "done"


def test_a_subclass_may_override_execute_command(name):
    seen = []

    class Client(shoal.Redis):
        def execute_command(self, *args, **options):
            seen.append(args[0])
            return super().execute_command(*args, **options)

    client = Client(name, **SMALL)
    client.set("k", "v")
    assert client.get("k") == b"v"
    client.incr("n")
    assert seen == ["SET", "GET", "INCRBY"]


def test_a_closed_client_opens_again_as_in_redis_py(r):
    r.set("k", "v")
    r.close()
    assert r.get("k") == b"v"


def test_it_is_a_context_manager(name):
    with shoal.Redis(name, **SMALL) as client:
        assert client.ping() is True


def test_clients_share_a_pool(name):
    pool = shoal.ConnectionPool(name, **SMALL)
    one, two = shoal.Redis(connection_pool=pool), shoal.Redis(connection_pool=pool)
    one.set("k", "v")
    assert two.get("k") == b"v"
    one.close()
    assert two.get("k") == b"v"


def test_options_of_sockets_are_accepted_and_unknown_ones_are_not(name):
    options = {"socket_timeout": 1, "retry_on_timeout": True, "max_connections": 5, "username": "u"}
    client = shoal.Redis(name, 6379, 0, **options, **SMALL)
    assert client.ping()
    with pytest.raises(TypeError, match="no_such_option"):
        shoal.Redis(name, no_such_option=1)


def test_what_leads_to_a_server_is_refused_with_the_remedy(name):
    with pytest.raises(shoal.AddressError, match="give a second one its own name"):
        shoal.Redis(name, port=6380)
    with pytest.raises(shoal.AddressError, match="unix_socket_path"):
        shoal.Redis(unix_socket_path="/run/redis.sock")
    with pytest.raises(shoal.AddressError, match="not a database"):
        shoal.Redis(name, db=16)


def test_monitor_says_why_it_cannot_be_had(r):
    with pytest.raises(shoal.ShoalError, match="commands run in this process"):
        r.monitor()


def test_its_repr_names_the_segment(name):
    assert f"shoal://{name}/3" in repr(shoal.Redis(name, db=3))


def test_a_lookup_after_an_error_finds_the_session_clean(r):
    for _ in range(3):
        with pytest.raises(redis.ResponseError):
            r.execute_command("GET")
        assert r.execute_command("GET", "k") is None
