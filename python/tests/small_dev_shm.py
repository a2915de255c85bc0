# SPDX-License-Identifier: MIT
"""small_dev_shm.py NAME: what test_environments.py runs where /dev/shm has 64 MB, as in a container by default. The
segment is of the usual size, 1 GB, which /dev/shm does not hold."""

import contextlib
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import shoal
from test_processes import fork, wait

SPACE, PIECE = 64 << 20, 100_000


def value(key):
    return (key * PIECE)[:PIECE].encode()


def fill(r, prefix):
    """Keys until there is no room, which is an error that names the remedy; all of them are there."""
    stored = []
    for number in count():
        key = f"{prefix}{number}-"
        try:
            assert r.set(key, value(key))
        except shoal.SegmentFull as full:
            assert str(full).startswith("OOM") and "--shm-size" in str(full), full
            break
        stored.append(key)
    assert r.get(key) is None
    return stored


def whole(r, keys):
    for key in keys:
        assert r.get(key) == value(key), key


def write_until_killed(name, ready):
    r = shoal.Redis(name, daemon=False)
    for number in count():
        key = f"half{number % 7}-"
        try:
            r.pipeline().incr("left").set(key, value(key)).incr("right").execute()
        except shoal.SegmentFull:
            r.delete(*(f"half{each}-" for each in range(7)))
        if number == 50:
            os.write(ready, b"x")


def main(name):
    room = os.statvfs("/dev/shm")
    assert room.f_blocks * room.f_frsize == SPACE
    somebody_elses = Path("/dev/shm/somebody-elses")
    somebody_elses.write_bytes(bytes(SPACE * 3 // 4))
    r = shoal.Redis(name, daemon=False)
    few = fill(r, "few")
    somebody_elses.unlink()
    first = few + fill(r, "first")
    assert few and len(first) * PIECE > SPACE // 2 > len(few) * PIECE
    whole(r, first)

    with contextlib.suppress(shoal.SegmentFull):
        for number in count():
            r.set(f"tiny{number}", number)

    def neighbour():  # has no memory of its own yet
        other = shoal.Redis(name, daemon=False)
        whole(other, first)
        assert int(other.get("tiny0")) == 0
        assert all(other.delete(key) for key in first[10:])
        assert other.incr("tiny0") == 1

    assert wait(fork(neighbour)) == 0
    whole(r, first[:10])
    second = fill(r, "second")
    assert len(second) >= len(first) - 12
    r.delete(*second[:10])
    for _ in range(8):  # who is killed where there is no room leaves nothing half done
        ready, said = os.pipe()
        child = fork(lambda said=said: write_until_killed(name, said))
        os.close(said)
        assert os.read(ready, 1)
        os.close(ready)
        os.kill(child, signal.SIGKILL)
        assert wait(child) == -signal.SIGKILL
        assert r.get("left") == r.get("right") != b"0"
    whole(r, first[:10] + second[10:])
    check = subprocess.run(["shoal", "check", name], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr


if __name__ == "__main__":
    main(sys.argv[1])
