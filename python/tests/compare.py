# SPDX-License-Identifier: MIT
"""Runs the same calls on a shoal client and on redis-py's client of a real server."""

import inspect


def outcome(call, client):
    """What a call returns, with its types; or the class and text of its error."""
    try:
        return typed(call(client))
    except Exception as error:
        return type(error).__name__, error.args


async def aoutcome(call, client):
    try:
        value = call(client)
        return typed(await value if inspect.isawaitable(value) else value)
    except Exception as error:
        return type(error).__name__, error.args


def typed(value):
    """The value with its types spelled out, so that 1 and True and 1.0 differ; errors by class and text."""
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [typed(item) for item in value]
    if isinstance(value, dict):
        return "dict", [(typed(key), typed(item)) for key, item in sorted(value.items(), key=str)]
    if isinstance(value, (set, frozenset)):
        return "set", sorted(map(str, map(typed, value)))
    if isinstance(value, BaseException):
        return type(value).__name__, value.args
    return type(value).__name__, value


# One line, one call. They run in this order on an empty database.
KEY_CALLS = """
r.ping()
r.echo("hello")
r.set("a", 1)
r.set("a", "x", nx=True)
r.set("a", "y", xx=True, get=True)
r.set("b", "1", ex=100)
r.set("b", 5, keepttl=True)
r.get("a")
r.get("missing")
r.get(b"a")
r.get(7)
r.set("f", 1.5)
r.get("f")
r.set("bytes", b"\\x00\\xff")
r.get("bytes")
r.set("mem", memoryview(b"view"))
r.get("mem")
r.set("bad", True)
r.set("bad", None)
r.get(None)
r.set(None, 1)
r.set("bad", [1])
r.execute_command("GET", "a")
r.execute_command("get", "a")
r.execute_command("SET", "a", "v")
r.execute_command("set", "a", "v")
r.execute_command("NOSUCH", "a")
r.execute_command("GET")
r.execute_command("GET", "a", "b")
r.execute_command("CONFIG GET", "none")
r.execute_command("CLIENT SETNAME", "me")
r.client_list(_type="pubsub")
r.client_list(_type="nosuch")
r.client_no_evict("ON")
r.config_get("timeout")
r.config_get("maxmemory-policy", "databases")
r.config_set("save", "")
r.config_set("timeout", 0)
r.config_set("timeout", "x")
r.config_set("nosuch", 1)
r.config_resetstat()
r.config_rewrite()
r.object("freq", "a")
r.object("refcount", "a")
r.object("idletime", "missing")
r.append("a", "z")
r.strlen("a")
r.getrange("a", 0, -1)
r.setrange("a", 1, "q")
r.getset("a", "n")
r.getdel("a")
r.setex("e", 10, "v")
r.psetex("e", 10000, "v")
r.setnx("e", 1)
r.setnx("e2", 1)
r.mset({"m1": 1, "m2": 2})
r.mget("m1", "m2", "m3")
r.mget(["m1"])
r.incr("n")
r.incrby("n", 5)
r.decr("n", 2)
r.incrbyfloat("n", 0.5)
r.incr("bytes")
r.exists("n", "m1", "missing")
r.delete("m1", "missing")
r.unlink("m2")
r.type("n")
r.type("missing")
r.ttl("n")
r.ttl("missing")
r.expire("n", 100)
r.expire("missing", 100)
r.ttl("n")
r.persist("n")
r.pexpire("n", 100000)
r.pttl("missing")
r.expireat("n", 99999999999)
r.rename("n", "n2")
r.rename("missing", "x")
r.renamenx("n2", "f")
sorted(r.keys("*"))
r.dbsize()
sorted(r.scan_iter("s*"))
r.select(1)
r.flushdb()
r.dbsize()
""".strip().splitlines()

LIST_CALLS = """
r.lpush("l", 1, 2, 3)
r.rpush("l", "x")
r.lrange("l", 0, -1)
r.llen("l")
r.lindex("l", 0)
r.lindex("l", 99)
r.lset("l", 0, "s")
r.lset("l", 99, "s")
r.linsert("l", "BEFORE", "x", "w")
r.lrem("l", 1, "w")
r.ltrim("l", 0, 2)
r.lpop("l")
r.lpop("l", 2)
r.rpop("missing")
r.rpush("l2", "a", "b", "c")
r.rpoplpush("l2", "l3")
r.lmove("l2", "l3", "LEFT", "RIGHT")
r.blpop("l3", 1)
r.brpop(["missing", "l3"], 1)
r.blpop("missing", 0.01)
r.lpush("f", 1)
r.get("l2")
r.rpush("numbers", 3, 1, 2)
r.mset({"w1": 9, "w2": 8, "w3": 7, "name1": "one"})
r.sort("numbers")
r.sort("numbers", start=0, num=2, desc=True)
r.sort("numbers", by="w*", get=["#", "name*"], groups=True)
r.sort("numbers", by="w*", get="name*", store="sorted")
r.lrange("sorted", 0, -1)
r.sort_ro("numbers", alpha=True)
r.sort("missing")
r.sort("l", by="nosort", get="#")
""".strip().splitlines()

CALLS = KEY_CALLS + LIST_CALLS


def function(line):
    """`line` as a function of a client."""
    return eval(f"lambda r: {line}")
