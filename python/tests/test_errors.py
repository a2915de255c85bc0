# SPDX-License-Identifier: MIT
"""A segment that cannot be used says why, and what to do. (Full: test_processes.py; a stopped holder:
test_stopped_holder.py; a URL that cannot be read: test_url.py; which class is which: test_exports.py.)"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

import shoal
from conftest import SMALL

SOON = 60
ATTACH = "import shoal, sys; shoal.Redis(sys.argv[1], max_size=32 << 20, daemon=False).ping()"


def in_another_process(name, *wrap):
    """The last line of what attaching there says."""
    command = [*wrap, sys.executable, "-c", ATTACH, name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SOON)
    assert done.returncode == 1, done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(("change", "age"), [(1, "newer"), (-1, "older")])
def test_a_segment_of_another_layout_version_is_refused_with_the_remedy(name, r, change, age):
    r.ping()
    with open(f"/dev/shm/shoal.{name}", "r+b") as file:
        file.seek(8)  # behind the magic: shm::Header::layout_version
        version = int.from_bytes(file.read(4), "little") + change
        file.seek(8)
        file.write(version.to_bytes(4, "little"))
    error = in_another_process(name)
    assert error.startswith("shoal.SegmentMismatch") and age in error and name in error
    assert ("upgrade" if change > 0 else "shoal rm") in error


def test_a_removed_segment_is_not_made_anew_beside_those_who_use_it(name, r):
    r.set("k", "v")
    Path(f"/dev/shm/shoal.{name}").unlink()
    error = in_another_process(name)
    assert error.startswith("shoal.SegmentRemoved") and "RemoveIPC" in error and name in error
    assert r.get("k") == b"v"
    assert not os.path.exists(f"/dev/shm/shoal.{name}")


def test_a_dev_shm_that_is_too_small_is_an_error_that_names_the_remedy(name):
    mount = 'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$@"'
    error = in_another_process(name, "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh")
    assert error.startswith("shoal.SegmentFull: OOM") and "--shm-size" in error


def test_a_commands_error_is_redis_pys_class_with_redis_text(r, server):
    r.set("k", "text")
    server.set("k", "text")
    for call in (
        lambda c: c.incr("k"),
        lambda c: c.lpush("k", 1),
        lambda c: c.execute_command("NO-SUCH"),
        lambda c: c.execute_command("GET"),
        lambda c: c.set("k", "v", ex=-1),
    ):
        with pytest.raises(redis.RedisError) as ours:
            call(r)
        with pytest.raises(redis.RedisError) as theirs:
            call(server)
        assert (type(ours.value), str(ours.value)) == (type(theirs.value), str(theirs.value))


def test_each_of_shoals_own_errors_is_one_of_redis_py(name):
    with pytest.raises(redis.ConnectionError):
        shoal.Redis(name, create=False, daemon=False).ping()
    with pytest.raises(redis.RedisError):
        shoal.from_url("shoal://bad name")
    with pytest.raises(redis.ResponseError):
        client = shoal.Redis(name, **{**SMALL, "max_size": 4 << 20})
        for i in range(1000):
            client.set(f"k{i}", "x" * 100_000)
