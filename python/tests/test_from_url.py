# SPDX-License-Identifier: MIT
import pytest
import redis
import redis.asyncio

import shoal
import shoal.asyncio
from conftest import SMALL

OPTIONS = "max_size=32MiB&daemon=no"


def test_a_shoal_url_gives_a_client_of_the_segment(name):
    client = shoal.from_url(f"shoal://{name}/2?{OPTIONS}&decode_responses=yes")
    assert type(client) is shoal.Redis
    client.set("k", "v")
    assert client.get("k") == "v"
    assert shoal.Redis(name, db=2, **SMALL).get("k") == b"v"


def test_options_in_the_url_win_over_keyword_arguments(name):
    client = shoal.from_url(f"shoal://{name}?{OPTIONS}&decode_responses=no", decode_responses=True, db=1)
    client.set("k", "v")
    assert client.get("k") == b"v"
    assert client.connection_pool.db == 1


@pytest.mark.parametrize("url", ["redis://localhost:6379/1", "rediss://localhost", "unix:///run/none.sock"])
def test_a_server_url_gives_redis_pys_own_client(url):
    assert type(shoal.from_url(url)) is redis.Redis
    assert type(shoal.Redis.from_url(url)) is redis.Redis
    assert type(shoal.asyncio.from_url(url)) is redis.asyncio.Redis
    assert type(shoal.ConnectionPool.from_url(url)) is redis.ConnectionPool
    assert type(shoal.asyncio.ConnectionPool.from_url(url)) is redis.asyncio.ConnectionPool


def test_redis_pys_client_from_the_way_out_works(redis_server):
    with shoal.from_url(f"unix://{redis_server}?db=3") as client:
        client.set("k", "v")
        assert client.get("k") == b"v"


def test_a_client_made_of_redis_pys_pool_is_redis_pys(redis_server):
    pool = shoal.ConnectionPool.from_url(f"unix://{redis_server}")
    client = shoal.Redis(connection_pool=pool)
    assert type(client) is redis.Redis
    assert client.ping()
    pool.disconnect()


def test_a_subclass_refuses_redis_pys_pool(redis_server):
    class Own(shoal.Redis):
        pass

    with pytest.raises(shoal.AddressError, match="leads to a Redis server"):
        Own(connection_pool=redis.ConnectionPool.from_url(f"unix://{redis_server}"))


def test_a_pool_from_a_url_serves_clients(name):
    pool = shoal.ConnectionPool.from_url(f"shoal://{name}?{OPTIONS}")
    assert shoal.Redis(connection_pool=pool).ping()


def test_a_bad_url_is_an_error_at_once():
    with pytest.raises(shoal.AddressError, match="did you mean"):
        shoal.from_url("shoal://app?max_sise=3")


async def test_a_shoal_url_gives_an_asyncio_client(name):
    async with shoal.asyncio.from_url(f"shoal:///{name}?{OPTIONS}") as client:
        assert type(client) is shoal.asyncio.Redis
        assert await client.ping()
