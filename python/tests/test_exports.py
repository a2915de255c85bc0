# SPDX-License-Identifier: MIT
import ast
import inspect
import pickle
import pkgutil
from pathlib import Path

import pytest
import redis
import redis.asyncio

import shoal
import shoal.asyncio
from shoal import _exceptions

PACKAGE = Path(shoal.__file__).parent


@pytest.mark.parametrize("module", [shoal, shoal.asyncio])
def test_all_lists_exactly_the_public_names(module):
    modules = {found.name for found in pkgutil.iter_modules([str(PACKAGE)])}
    public = {name for name in vars(module) if not name.startswith("_")} - (modules - set(module.__all__))
    assert public - set(module.__all__) == set()
    assert sorted(set(module.__all__), key=str) == sorted(module.__all__, key=str)
    assert all(hasattr(module, name) for name in module.__all__)


def test_every_module_but_the_public_ones_is_private():
    public = {"asyncio", "celery", "fastapi"}
    names = {found.name for found in pkgutil.iter_modules([str(PACKAGE)])}
    assert {name for name in names if not name.startswith("_")} <= public


def test_the_errors_are_redis_pys_own():
    for name in set(shoal.__all__) & set(redis.__all__) - {"ConnectionPool", "Redis", "StrictRedis", "from_url"}:
        assert getattr(shoal, name) is getattr(redis, name), name


def test_shoals_errors_are_caught_as_the_nearest_of_redis_py():
    assert issubclass(shoal.SegmentFull, redis.ResponseError)
    assert issubclass(shoal.HolderStopped, redis.TimeoutError)
    assert issubclass(shoal.SegmentNotFound, redis.ConnectionError)
    assert issubclass(shoal.AddressError, ValueError)
    for name in shoal.__all__:
        found = getattr(shoal, name)
        if inspect.isclass(found) and found.__module__ == "shoal" and issubclass(found, Exception):
            assert issubclass(found, shoal.ShoalError), name


def test_the_drawn_tree_names_every_error_class():
    classes = {node.name for node in ast.parse(inspect.getsource(_exceptions)).body if isinstance(node, ast.ClassDef)}
    assert classes
    assert all(f"- {name}" in _exceptions.__doc__ for name in classes)
    assert classes <= set(shoal.__all__)


def test_a_tracebacks_name_is_the_one_to_import():
    assert str(shoal.Redis) == "<class 'shoal.Redis'>"
    assert str(shoal.asyncio.Redis) == "<class 'shoal.asyncio.Redis'>"
    assert pickle.loads(pickle.dumps(shoal.SegmentFull("OOM x"))).args == ("OOM x",)


def test_the_clients_are_redis_pys():
    assert issubclass(shoal.Redis, redis.Redis)
    assert issubclass(shoal.asyncio.Redis, redis.asyncio.Redis)
