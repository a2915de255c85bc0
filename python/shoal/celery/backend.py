# SPDX-License-Identifier: MIT
"""The result backend: Celery's own records under Celery's own keys, as its Redis backend writes them.

What differs is how a result is waited for. Nobody subscribes to a channel for each task: whoever sends tasks has one
small reply queue, its name travels with the message, and the worker drops the task's id there when it has stored the
state, with the record if that is short. Who waits for a task that somebody else sent binds its reply queue to the
task's id. A longer record is read from its key, and so is one whose reply was lost with a worker, a second later at
most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property, partial
from time import sleep
from types import FunctionType
from typing import Any
from uuid import uuid4

from celery import signals, states
from celery._state import get_current_task
from celery.backends.asynchronous import BaseResultConsumer
from celery.backends.redis import RedisBackend
from kombu.utils.compat import detect_environment
from redis.client import Pipeline

from .. import _shoal
from .._base import NEVER_DECODE, apply_callback
from .._client import Redis
from .._exceptions import HolderStopped
from .._url import parse
from . import _leases
from ._envelope import read_json
from ._hub import HubLink
from ._producer import tune

REPLIES = 10_000  # ids that a reply queue holds; what falls out is found by the next look at the keys
SENT = 10_000  # tasks that a thread remembers having sent
REPLY_BYTES = 1024  # of a record that travels with its reply
LOOK = 1.0  # seconds between two looks at the keys of what is waited for, while no reply comes
_PREFIX = b"celery-result-"
_PARTED = b"\0"  # a reply's id from its record

_sending = threading.local()  # the reply queue of the task that this thread is about to send
_stored = threading.local()  # the record that this thread has just stored


def _nap(seconds: float) -> None:
    """Celery's waiting lets others run by sleep(0), twice for each result: 60 us each to Linux, which rounds it up.
    Greenlets need that; threads do not, for they run while this one waits in the extension."""
    if seconds > 0 or detect_environment() != "default":
        sleep(seconds)


def _with_naps(function: Any) -> Any:
    """The same function, which calls _nap() where it calls sleep()."""
    names = {**function.__globals__, "sleep": _nap}
    return FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)


class ResultConsumer(BaseResultConsumer):
    """One for each thread that sends tasks or waits for them, and one for its forked children each."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reset()

    def _reset(self) -> None:
        self.name = f"celery-replies-{uuid4().hex}"
        self.sent: dict[str, bool] = {}  # by us, the latest last: whether the last reply is still to come, by itself
        self.expected: set[str] = set()  # of them those that somebody waits for
        self.bound: set[str] = set()  # waited for, but sent by others, or long ago
        self._consumer: _shoal.Consumer | None = None
        self._lock = threading.RLock()
        self._drained = threading.Condition()
        self._draining = threading.Lock()

    def on_after_fork(self) -> None:
        self._reset()
        super().on_after_fork()

    @property
    def queues(self) -> _shoal.Queues:
        return self.backend.queues

    def _open(self) -> _shoal.Consumer:
        with self._lock:
            if self._consumer is None:
                name = self.name.encode()
                self.queues.declare(name, max_length=REPLIES, auto_delete=True)
                consumer = _shoal.Consumer(self.queues)
                consumer.add(name, True)
                self._consumer = consumer
            return self._consumer

    def start(self, initial_task_id: str, **kwargs: Any) -> None:
        self.consume_from(initial_task_id)

    def stop(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def expect(self, task_id: str) -> None:
        """This thread is about to send the task."""
        self._open()
        self.sent[task_id] = True
        if len(self.sent) > SENT:
            del self.sent[next(iter(self.sent))]
        self.expected.add(task_id)
        _sending.reply = self.name

    def consume_from(self, task_id: str) -> None:
        if task_id in self.expected or task_id in self.bound:
            return
        if task_id in self.sent:
            self.expected.add(task_id)
            return
        self._open()
        self.bound.add(task_id)
        self.queues.bind(_PREFIX + task_id.encode(), b"", b"", self.name.encode())
        # It may have ended before: on_wait_for_pending(), which always follows, looks at the key.

    def cancel_for(self, task_id: str) -> None:
        self.expected.discard(task_id)
        if task_id in self.sent:
            self.sent[task_id] = False
        if task_id in self.bound:
            self.bound.discard(task_id)
            self.queues.unbind(_PREFIX + task_id.encode(), b"", b"", self.name.encode())

    def on_wait_for_pending(self, result: Any, timeout: float | None = None, **kwargs: Any) -> None:
        patient = timeout is None or timeout >= LOOK
        if patient and self.sent.get(getattr(result, "id", "")):
            return  # its reply has not been seen yet: it comes by itself, or the next look finds the record
        for meta in result._iter_meta(**kwargs):
            if meta is not None:
                self.on_state_change(meta, None)

    _wait_for_pending = _with_naps(BaseResultConsumer._wait_for_pending)
    _on_state_change = _with_naps(BaseResultConsumer.on_state_change)

    def on_state_change(self, meta: dict[str, Any], message: Any) -> None:
        self._on_state_change(meta, message)
        if meta["status"] in states.READY_STATES:
            self.cancel_for(meta["task_id"])

    def drain_events(self, timeout: float | None = None) -> None:
        wait = LOOK if timeout is None else min(timeout, LOOK)
        if not self._draining.acquire(blocking=False):
            with self._drained:  # another thread drains, and what it finds may be ours
                self._drained.wait(wait)
            return
        try:
            self._drain(wait)
        finally:
            self._draining.release()
            with self._drained:
                self._drained.notify_all()

    def _drain(self, wait: float) -> None:
        consumer = self._open()
        if self._take(consumer):
            return
        _shoal.wait_for_task(self.backend.segment, [consumer], wait)
        if not self._take(consumer):
            self._look()

    def _take(self, consumer: _shoal.Consumer) -> bool:
        row = consumer.take()
        if row is None:
            return False
        name, _, record = row[2].partition(_PARTED)
        task_id = name.decode()
        if task_id in self.expected or task_id in self.bound:
            if record:
                self.on_state_change(self.backend.decode_result(record), None)
            else:
                self._read([task_id])
        return True

    def _look(self) -> None:
        """Reads the keys of all that is waited for: a reply may have been lost with its worker."""
        waited = [task_id for mapping in self._pending_results for task_id in list(mapping)]
        for start in range(0, len(waited), 1000):
            self._read(waited[start : start + 1000])

    def _read(self, task_ids: list[str]) -> None:
        keys = [self.backend.get_key_for_task(task_id) for task_id in task_ids]
        for value in self.backend.mget(keys) if len(keys) > 1 else [self.backend.get(keys[0])]:
            if value:
                self.on_state_change(self.backend.decode_result(value), None)


class _Impatient(Redis):
    """For reading in the thread of a worker's event loop: a lock that is held is an error at once."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        session = self._new_session()
        reply = (session.try_execute_bytes if NEVER_DECODE in options else session.try_execute)(args)
        if reply is _shoal.BUSY:
            raise HolderStopped("a lock is held; the worker's event loop does not wait for it")
        options.pop(NEVER_DECODE, None)
        return apply_callback(self.response_callbacks, args[0], reply, options)


class ShoalBackend(RedisBackend):
    """`result_backend = "shoal://NAME[/DB]"`."""

    ResultConsumer = ResultConsumer

    def __init__(self, url: str | None = None, **kwargs: Any) -> None:
        kwargs.pop("host", None)
        address = parse(url or "")
        self.place = (address.name, address.db)
        self._options = dict(address.options)
        super().__init__(**kwargs)
        self.url = url
        self.connection_errors: tuple[type[Exception], ...] = _leases.connection_errors()
        _install()

    def as_uri(self, include_password: bool = False) -> str:
        return self.url or ""

    @property
    def segment(self) -> _shoal.Segment:
        return _leases.queues_of(*self.place, **self._options).segment

    @property
    def queues(self) -> _shoal.Queues:
        return _leases.queues_of(*self.place, **self._options)

    def _create_client(self, **params: Any) -> Redis:
        name, db = self.place
        return Redis(name, db=db, **_leases.opening(self._options))

    # -- in the thread of a worker's event loop (_hub.py) --------------------------------------------------------------
    @cached_property
    def _impatient(self) -> Redis:
        return _Impatient(connection_pool=self.client.connection_pool)

    def get(self, key: Any) -> Any:
        return (self.client if HubLink.here() is None else self._impatient).get(key)

    def mget(self, keys: Any) -> Any:
        return (self.client if HubLink.here() is None else self._impatient).mget(keys)

    def _aside(self, task_id: Any, request: Any, store: Callable[[], Any]) -> Any:
        """A worker's parent stores what its child could not: the task was revoked, ran too long, killed the child."""
        link = HubLink.here()
        if link is None:
            return store()
        lease = (getattr(request, "properties", None) or {}).get("shoal_lease")
        place = _leases.place_of(lease[2] if lease else task_id)
        return link.aside(place, store)

    def store_result(self, task_id: Any, result: Any, state: str, traceback: Any = None, **kwargs: Any) -> Any:
        store = partial(super().store_result, task_id, result, state, traceback, **kwargs)
        return self._aside(task_id, kwargs.get("request"), store)

    def mark_as_failure(self, task_id: Any, exc: Any, *args: Any, **kwargs: Any) -> None:
        self._aside(task_id, kwargs.get("request"), partial(super().mark_as_failure, task_id, exc, *args, **kwargs))

    def mark_as_revoked(self, task_id: Any, *args: Any, **kwargs: Any) -> None:
        self._aside(task_id, kwargs.get("request"), partial(super().mark_as_revoked, task_id, *args, **kwargs))

    def mark_as_retry(self, task_id: Any, *args: Any, **kwargs: Any) -> Any:
        return self._aside(task_id, kwargs.get("request"), partial(super().mark_as_retry, task_id, *args, **kwargs))

    # -- telling who waits --------------------------------------------------------------------------------------------
    def on_task_call(self, producer: Any, task_id: str) -> None:
        tune(producer)
        if HubLink.here() is not None:  # a worker's event loop waits for no result
            return
        task = get_current_task()
        if task is not None and task.request.id == task_id:  # it is tried again, or replaced: who waits stays the same
            _sending.reply = (task.request.properties or {}).get("shoal_reply")
        else:
            self.result_consumer.expect(task_id)

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> Any:
        _stored.record = b""  # it stays so if the task has succeeded before
        stored = super()._store_result(task_id, result, state, traceback, request, **kwargs)
        reply = (getattr(request, "properties", None) or {}).get("shoal_reply") if request else None
        name = task_id.encode() if isinstance(task_id, str) else task_id
        record = _stored.record
        data = name + _PARTED + record if 0 < len(record) <= REPLY_BYTES else name
        if reply:
            self.queues.push_existing(reply.encode(), data)
        waiting = [(queue, incarnation) for _, _, queue, incarnation in self.queues.bindings(_PREFIX + name)]
        if waiting:
            self.queues.push_routes(_PREFIX + name, waiting, data)
        return stored

    def _set(self, key: Any, value: Any, expires: int | None = None) -> None:
        _stored.record = value.encode() if isinstance(value, str) else value
        seconds = int((self.expires if expires is None else expires) or 0)
        self.client.execute_command("SET", key, value, *(("EX", seconds) if seconds else ()))

    def set(self, key: Any, value: Any, expires: Any = None, **policy: Any) -> Any:
        """At once; Celery's loop of retries, which checks the size, too, is for when that fails."""
        if len(value) <= self._MAX_STR_VALUE_SIZE:
            with suppress(*self.connection_errors):
                return self._set(key, value, expires)
        return super().set(key, value, expires, **policy)

    def decode(self, payload: Any) -> Any:
        """Plain JSON without kombu's registry; whatever is not that, or damaged, is Celery's."""
        if self._reads_json and isinstance(payload, bytes) and payload.startswith(b"{"):
            with suppress(ValueError):
                return read_json(payload)
        return super().decode(payload)

    @cached_property
    def _reads_json(self) -> bool:
        """Whether results are JSON, and may be."""
        kind = "application/json"
        return self.content_type == kind and (self.accept is None or kind in self.accept)

    # -- chords: what Celery's Redis backend does in Lua --------------------------------------------------------------
    def _atomically(self, watched: Iterable[Any], steps: Callable[[Pipeline], Any]) -> Any:
        return self.client.transaction(steps, *watched, value_from_callable=True)

    @property
    def _chord_part_return_script(self) -> Callable[..., list[Any]]:
        return self._chord_part_return

    def _chord_part_return(self, keys: list[Any], args: list[Any], client: Any = None) -> list[Any]:
        """Counts a header task's result, once for each task, and claims the callback when the chord is complete."""
        results, total_key, size_key, done_key, group, claim = keys
        task_id, value, ordered, score, expires, group_expires, claim_expires, token = args
        member = f"{task_id}:{score}"

        def steps(pipe: Pipeline) -> list[Any]:
            if pipe.get(claim) == b"done":
                pipe.multi()
                return [-1, 0, 0, 0]
            new = not pipe.sismember(done_key, member)
            count = int(pipe.zcard(results) if int(ordered) else pipe.llen(results)) + new
            diff, size = pipe.get(total_key), pipe.get(size_key)
            complete = size is not None and count == int(size) + int(diff or 0)
            claimed = complete and not pipe.exists(claim)
            pipe.multi()
            if new and int(ordered):
                pipe.zadd(results, {value: float(score)})
            elif new:
                pipe.rpush(results, value)
            if new:
                pipe.sadd(done_key, member)
            if int(expires) > 0:
                for key in (results, total_key, size_key, done_key):
                    pipe.expire(key, int(expires))
                if int(group_expires) > 0:
                    pipe.expire(group, int(group_expires))
            if claimed:
                pipe.set(claim, token, nx=True, ex=int(claim_expires))
            return [count, diff, size, int(claimed)]

        return self._atomically((results, total_key, size_key, done_key, claim), steps)

    @property
    def _chord_cleanup_script(self) -> Callable[..., int]:
        return self._chord_cleanup

    def _chord_cleanup(self, keys: list[Any], args: list[Any], client: Any = None) -> int:
        claim, *data = keys
        token, done_expires = args

        def steps(pipe: Pipeline) -> int:
            mine = pipe.get(claim) == token.encode()
            pipe.multi()
            if mine:
                pipe.delete(*data)
                if done_expires and int(done_expires) > 0:
                    pipe.set(claim, "done", ex=int(done_expires))
            return int(mine)

        return self._atomically((claim,), steps)

    @property
    def _chord_claim_extend_script(self) -> Callable[..., int]:
        return self._chord_claim_extend

    def _chord_claim_extend(self, keys: list[Any], args: list[Any], client: Any = None) -> int:
        claim, size_key = keys
        token, expires = args

        def steps(pipe: Pipeline) -> int:
            owner = pipe.get(claim)
            free = owner is None and bool(pipe.exists(size_key))
            pipe.multi()
            if owner == token.encode():
                pipe.expire(claim, int(expires))
            elif free:
                pipe.set(claim, token, nx=True, ex=int(expires))
            return int(free or owner == token.encode())

        return self._atomically((claim, size_key), steps)

    def __reduce__(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        return super(RedisBackend, self).__reduce__(args, dict(kwargs or {}, expires=self.expires, url=self.url))


def _name_reply_queue(properties: dict[str, Any] | None = None, **_: Any) -> None:
    """Before a task is sent: the reply queue of the thread that called on_task_call() for it travels along."""
    reply = _sending.__dict__.pop("reply", None)
    if reply is not None and properties is not None:
        properties["shoal_reply"] = reply


def _install() -> None:
    signals.before_task_publish.connect(_name_reply_queue, weak=False, dispatch_uid="shoal.celery.reply")
    with suppress(ImportError):
        _leases.install()
