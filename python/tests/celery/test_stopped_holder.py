# SPDX-License-Identifier: MIT
"""A process is stopped (SIGSTOP) while it holds the lock of one queue's shard: the hub of a worker goes on, with
everything that does not lie in that shard, and what it could not do is done when the holder goes on."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from conftest import wait_until

MAIN = b"celery"


def waits(operation, *arguments):
    """Whether it meets a shard that is locked for longer than a moment."""
    try:
        operation(*arguments, wait=False)
    except Exception as error:
        return "stopped" in str(error) or "BUSY" in str(error)
    return False


def locked(site, queue):
    return waits(site.queues.push_routes, b"nothing", [(queue, 0)], b"")


def reachable(site, queue):
    """Sending to a queue also reads the bindings of the exchange of its name, which may lie in another shard."""
    return not locked(site, queue) and not waits(site.queues.bindings, queue)


@pytest.fixture
def stop_holder(site):
    """Stops a process while it holds the lock of MAIN's shard; gives back how to let it go on."""
    program = textwrap.dedent("""
        import os
        from shoal import _shoal
        segment = _shoal.Segment.attach(os.environ["APP_SEGMENT"], create=False, daemon=False)
        queues = _shoal.Queues(segment, 0)
        data = bytes(1 << 20)
        while True:
            queues.push_routes(b"nothing", [(b"celery", 0)] * 50_000, data)
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program], env={**site.environment, "APP_SEGMENT": site.name}, cwd=site.folder
    )

    def stop():
        def stopped_inside():
            os.kill(process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            if locked(site, MAIN):
                return True
            os.kill(process.pid, signal.SIGCONT)
            return False

        wait_until(stopped_inside, "the holder to be met while it holds the lock")

    yield stop, lambda: os.kill(process.pid, signal.SIGCONT)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_serves_its_other_queues_while_one_shard_stays_locked(site, stop_holder, pool):
    stop, go_on = stop_holder
    stop()
    other = next(name for name in map("other{}".format, range(1000)) if reachable(site, name.encode()))
    go_on()
    site.worker("-Q", f"celery,{other}", pool=pool, concurrency=2)
    site.send("hold", "held", site.gate(), ignore_result=True)
    site.wait_for_line("begin", "held")
    stop()
    for i in range(20):
        site.send("record", f"r{i}", queue=other, ignore_result=True)
    site.wait_for_line("run", count=20)
    site.open_gate()  # its acknowledgement finds the shard locked
    site.wait_for_line("end", "held")
    for i in range(20, 40):
        site.send("record", f"r{i}", queue=other, ignore_result=True)
    site.wait_for_line("run", count=40)
    assert locked(site, MAIN)
    go_on()
    wait_until(lambda: site.stats()["leased"] == 0, "the acknowledgement")
    site.send("record", "last", ignore_result=True)
    site.wait_for_line("run", "last")
    assert site.stats()["pushed"] == 2 and len(site.lines("begin", "held")) == 1
