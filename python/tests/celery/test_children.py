# SPDX-License-Identifier: MIT
"""A pool child that cannot be waited for yet when its sentinel closes."""

import pytest
from celery import Celery

from shoal.celery import CHILD_STARTS_WITHIN, _children, configure


class Pool:
    """Celery's AsynPool, as far as a child's end goes: the look at the child is a waitpid() that does not block."""

    def __init__(self, looks_in_vain):
        self._pool = ["child"]
        self.looks, self.looks_in_vain = 0, looks_in_vain

    def _event_process_exit(self, hub, process):
        self.looks += 1
        if self.looks > self.looks_in_vain:
            self._pool.remove(process)


class Hub:
    def __init__(self):
        self.timers = []

    def call_later(self, delay, callback, *args):
        assert delay > 0
        self.timers.append((callback, args))


def test_an_exited_child_is_looked_for_until_it_is_found():
    pool, hub = Pool(looks_in_vain=3), Hub()
    _children.look_until_gone(sender=pool)
    _children.look_until_gone(sender=pool)  # before each child that it starts
    pool._event_process_exit(hub, "child")
    while hub.timers:
        callback, args = hub.timers.pop(0)
        callback(*args)
    assert pool._pool == []
    assert pool.looks == 4


def test_celery_s_pool_has_what_this_leans_on():
    from billiard.pool import Pool as BilliardPool
    from celery.concurrency.asynpool import AsynPool

    assert callable(AsynPool._event_process_exit) and callable(AsynPool._untrack_child_process)
    assert "_pool" in BilliardPool.__init__.__code__.co_names


def test_a_pool_without_a_hub_is_left_alone():
    _children.look_until_gone(sender=object())


@pytest.mark.parametrize("read_before", [False, True])
def test_configure_gives_a_child_time_to_start_unless_the_application_said_how_long(read_before):
    app, own = Celery(set_as_current=False), Celery(set_as_current=False)
    own.conf.worker_proc_alive_timeout = 7
    for each in (app, own):
        assert not read_before or each.conf.task_acks_late is False
        configure(each)
    assert app.conf.worker_proc_alive_timeout == CHILD_STARTS_WITHIN
    assert own.conf.worker_proc_alive_timeout == 7
    assert app.conf.task_acks_late and app.conf.task_reject_on_worker_lost
