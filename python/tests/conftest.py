# SPDX-License-Identifier: MIT
"""Fixtures: a segment of its own for each test, and a real redis-server to compare with."""

import asyncio
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import redis
import uvloop

import shoal

_numbers = itertools.count()


def pytest_asyncio_loop_factories(config, item):
    """Each asyncio test runs on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session", autouse=True)
def runtime_folder():
    """Life files, FIFOs and sockets lie in a folder of this test run."""
    folder = tempfile.mkdtemp(prefix="shoal-run-")
    os.environ["SHOAL_RUNTIME_DIR"] = folder
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def redis_server():
    """The path of the unix socket of a redis-server of our own."""
    program = shutil.which("redis-server")
    assert program, "redis-server is missing: ./dev setup installs it"
    folder = tempfile.mkdtemp(prefix="shoal-redis-")
    path = f"{folder}/socket"
    options = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", folder]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                redis.Redis(unix_socket_path=path).ping()
                break
            except redis.ConnectionError:
                assert server.poll() is None and time.monotonic() < deadline, "redis-server did not start"
                time.sleep(0.01)
        yield path
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)


@pytest.fixture
def name():
    """A segment's name that no other test uses; what is left of it goes afterwards."""
    name = f"pytest-{os.getpid()}-{next(_numbers)}"
    yield name
    remove_segment(name)


def remove_segment(name):
    Path(f"/dev/shm/shoal.{name}").unlink(missing_ok=True)


# The segments of tests are small, and have no daemon unless a test asks for one.
SMALL = {"max_size": 32 << 20, "daemon": False}


@pytest.fixture
def r(name):
    client = shoal.Redis(name, **SMALL)
    yield client
    client.close()


@pytest.fixture
def start_shoald(name):
    """Starts a daemon for the test's segment, which must be there, and waits until it serves."""
    program = shutil.which("shoald")
    assert program, "shoald is not on PATH: ./dev test puts the build's there"
    running = []

    def start():
        daemon = subprocess.Popen([program, name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        running.append(daemon)
        segment, deadline = shoal.Redis(name, **SMALL).segment, time.monotonic() + 30
        while not segment.sweep():
            assert daemon.poll() is None and time.monotonic() < deadline, "shoald does not serve"
            time.sleep(0.01)
        return daemon

    yield start
    for daemon in running:
        daemon.kill()
        daemon.wait()


@pytest.fixture
def server(redis_server):
    """redis-py's own client on an empty redis-server."""
    client = redis.Redis(unix_socket_path=redis_server)
    client.flushall()
    yield client
    client.close()
