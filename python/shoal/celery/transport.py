# SPDX-License-Identifier: MIT
"""The kombu transport: a channel is a consumer handle on the segment's task queues.

Taking a message leases it in the same transaction; the lease ends by acknowledgement, by rejection, when the channel
closes, or when the kernel releases the process that held it. So nothing that virtual.Channel does to remember and
restore unacknowledged messages is needed, and nothing times out: a task may run for a week.

Waiting: in Celery's worker the hub polls one FIFO (_hub.py), anything else sleeps in the extension with the GIL
released. Neither polls the queues by a timer. `driver_type` is "redis" because Celery switches features on that string.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import partial
from importlib.metadata import version
from queue import Empty
from time import monotonic
from typing import Any

from kombu.transport import virtual
from kombu.transport.base import to_rabbitmq_queue_arguments
from kombu.transport.virtual.exchange import TopicExchange
from redis import exceptions

from .. import _shoal
from .._exceptions import HolderStopped
from .._url import parse
from . import _leases
from ._envelope import due_ms, pack, unpack
from ._hub import HubBusy, HubLink

TRANSIENT = 1  # AMQP's delivery_mode of a message that need not outlive a process
TRANSIENT_LENGTH = 10_000  # messages that a queue of one consumer (replies, events, remote control) holds at most


class Message(virtual.Message):
    """A message whose delivery tag is its lease."""


class QoS(virtual.QoS):
    """Counts what this channel holds; who holds what stands in the segment."""

    def __init__(self, channel: Channel, prefetch_count: int = 0) -> None:  # no Finalize: nothing to restore at exit
        self.channel = channel
        self.prefetch_count = prefetch_count or 0
        self._delivered: dict[str, Message] = {}

    def can_consume(self) -> bool:
        return not self.prefetch_count or len(self._delivered) < self.prefetch_count

    def can_consume_max_estimate(self) -> int | None:
        return max(self.prefetch_count - len(self._delivered), 0) if self.prefetch_count else None

    def append(self, message: Message, delivery_tag: str) -> None:
        self._delivered[delivery_tag] = message

    def get(self, delivery_tag: str) -> Message:
        return self._delivered[delivery_tag]

    def ack(self, delivery_tag: str) -> None:
        self.channel.answer(delivery_tag, self.channel.consumer.ack)
        self._delivered.pop(delivery_tag, None)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        self.channel.answer(delivery_tag, partial(self.channel.consumer.reject, requeue=requeue))
        self._delivered.pop(delivery_tag, None)

    def restore_unacked(self) -> list[Any]:
        for tag in list(self._delivered):
            self.reject(tag, requeue=True)
        return []

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """The consumer handle's close gives everything back."""


class Channel(virtual.Channel):
    Message = Message
    QoS = QoS
    do_restore = False
    supports_fanout = True
    body_encoding = None

    _consumer: _shoal.Consumer | None = None

    @property
    def queues(self) -> _shoal.Queues:
        return self.connection.queues

    @property
    def consumer(self) -> _shoal.Consumer:
        if self._consumer is None:
            self._consumer = _shoal.Consumer(self.queues)
        return self._consumer

    # -- sending ----------------------------------------------------------------------------------------------------
    def basic_publish(self, message: dict[str, Any], exchange: str, routing_key: str, **kwargs: Any) -> None:
        self._inplace_augment_message(message, exchange, routing_key)
        if not exchange:
            return self._put(routing_key, message)
        kind = self.typeof(exchange).type
        publish = partial(self._route, exchange, kind, routing_key or "", *self._task(message))
        self._send(f"exchange {exchange}", message, publish)

    def _send(self, place: str, message: dict[str, Any], publish: Callable[..., Any]) -> None:
        """In the hub only what may be lost with the process is put off."""
        transient = message["properties"].get("delivery_mode") == TRANSIENT
        (HubLink.run if transient else HubLink.now)(place, publish)

    def _inplace_augment_message(self, message: dict[str, Any], exchange: str, routing_key: str) -> None:
        message["properties"]["delivery_info"].update(exchange=exchange, routing_key=routing_key)

    def _task(self, message: dict[str, Any]) -> tuple[bytes, int, int]:
        return pack(message), self._get_message_priority(message), due_ms(message)

    def _route(
        self, exchange: str, kind: str, key: str, data: bytes, priority: int, due: int, *, wait: bool = True
    ) -> None:
        """To all queues that are bound to it, in one transaction."""
        bindings = self.queues.bindings(exchange.encode(), wait=wait)
        routes = list(
            dict.fromkeys(
                (queue, incarnation)
                for bound, pattern, queue, incarnation in bindings
                if _matches(self, kind, bound.decode(), pattern.decode(), key)
            )
        )
        pushed = self.queues.push_routes(exchange.encode(), routes, data, priority, due, wait=wait)
        if not pushed and self.deadletter_queue:
            self.queues.push(self.deadletter_queue.encode(), data, priority, due, wait=wait)

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        self._send(f"queue {queue}", message, partial(self.queues.push, queue.encode(), *self._task(message)))

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **kwargs: Any) -> None:
        self.basic_publish(message, exchange, routing_key)

    # -- queues and bindings ------------------------------------------------------------------------------------------
    def _new_queue(self, queue: str, auto_delete: bool = False, exclusive: bool = False, **kwargs: Any) -> None:
        arguments = kwargs.get("arguments") or {}
        length = int(arguments.get("x-max-length") or 0)
        declare = partial(
            self.queues.declare,
            queue.encode(),
            max_length=length or (TRANSIENT_LENGTH if auto_delete or exclusive else 0),
            drop_head=arguments.get("x-overflow", "drop-head") == "drop-head",
            max_deliveries=int(arguments.get("x-delivery-limit") or 0),
            auto_delete=bool(auto_delete),
            expires_ms=int(arguments.get("x-expires") or 0),
        )
        HubLink.now(f"queue {queue}", declare)

    def _stats(self, queue: str) -> dict[str, Any] | None:
        stats: dict[str, Any] | None = HubLink.now(f"queue {queue}", partial(self.queues.stats, queue.encode()))
        return stats

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:
        return self._stats(queue) is not None

    def _size(self, queue: str) -> int:
        stats = self._stats(queue)
        return stats["ready"] + stats["delayed"] if stats else 0

    def _purge(self, queue: str) -> int:
        purged: int = HubLink.now(f"queue {queue}", partial(self.queues.purge, queue.encode()))
        return purged

    def queue_delete(self, queue: str, if_unused: bool = False, if_empty: bool = False, **kwargs: Any) -> None:
        if if_empty and self._size(queue):
            return
        HubLink.now(f"queue {queue}", partial(self.queues.delete, queue.encode()))
        self.state.queue_bindings_delete(queue)

    def queue_bind(
        self, queue: str, exchange: str | None = None, routing_key: str = "", arguments: Any = None, **kwargs: Any
    ) -> None:
        exchange = exchange or "amq.direct"
        # Before kombu notes that it is there, and also if it has: the queue may have gone since, and its binding with
        # it.
        self._bind(exchange, *self.typeof(exchange).prepare_bind(queue, exchange, routing_key, arguments))
        super().queue_bind(queue, exchange, routing_key, arguments, **kwargs)

    def _queue_bind(self, *args: Any) -> None:
        """Done: queue_bind()."""

    def _bind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        names = (exchange.encode(), (routing_key or "").encode(), (pattern or "").encode(), queue.encode())
        HubLink.now(f"exchange {exchange}", partial(self.queues.bind, *names))

    def queue_unbind(
        self, queue: str, exchange: str | None = None, routing_key: str = "", arguments: Any = None, **kwargs: Any
    ) -> None:
        exchange = exchange or "amq.direct"
        key, pattern, _ = self.typeof(exchange).prepare_bind(queue, exchange, routing_key, arguments)
        names = (exchange.encode(), (key or "").encode(), (pattern or "").encode(), queue.encode())
        HubLink.now(f"exchange {exchange}", partial(self.queues.unbind, *names))
        super().queue_unbind(queue, exchange, routing_key, arguments, **kwargs)

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        rows = HubLink.now(f"exchange {exchange}", partial(self.queues.bindings, exchange.encode()))
        return [(key.decode(), pattern.decode(), queue.decode()) for key, pattern, queue, _ in rows]

    def prepare_queue_arguments(self, arguments: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return to_rabbitmq_queue_arguments(arguments, **kwargs)

    # -- receiving ----------------------------------------------------------------------------------------------------
    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any) -> None:
        super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)
        with suppress(HubBusy):  # it takes part all the same: the hub's next look at the queue tells the others
            HubLink.now(f"queue {queue}", partial(self.consumer.add, queue.encode(), bool(no_ack)))

    def basic_cancel(self, consumer_tag: str) -> None:
        queue = self._tag_to_queue.get(consumer_tag)
        super().basic_cancel(consumer_tag)
        if queue is not None and self._consumer is not None:
            HubLink.run(f"queue {queue}", partial(self._consumer.remove, queue.encode()))

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        take = partial(self.consumer.take_from, queue.encode(), bool(no_ack))
        row = HubLink.now(f"queue {queue}", take)
        if row is None:
            return None
        message = self.Message(self._payload(row), channel=self)
        if not no_ack:
            self.qos.append(message, message.delivery_tag)
        return message

    def ready_to_consume(self) -> bool:
        return bool(self._consumers) and self.qos.can_consume()

    def take(self, wait: bool = True) -> Callable[[], None] | None:
        """Takes one message, if this channel may have one; what is returned hands it to its consumer."""
        if not self.ready_to_consume():
            return None
        row = self.consumer.take(wait=wait)
        return None if row is None else partial(self._hand_over, row)

    def _hand_over(self, row: tuple[bytes, str | None, bytes, bool]) -> None:
        self.connection._deliver(self._payload(row), row[0].decode())

    def answer(self, tag: str, answer: Callable[..., Any]) -> None:
        """Ends a lease; in the hub without waiting for a lock, and when the task's result is stored."""
        HubLink.answer(_leases.place_of(tag), f"queue {tag.partition('@')[2]}", partial(answer, tag))

    def _payload(self, row: tuple[bytes, str | None, bytes, bool]) -> dict[str, Any]:
        _, tag, data, redelivered = row
        message = unpack(data)
        properties = message["properties"]
        properties["delivery_tag"] = tag or ""
        if tag:
            properties["shoal_lease"] = (*self.connection.place, tag)
        if redelivered:
            properties["delivery_info"]["redelivered"] = True
        return message

    def drain_events(self, timeout: float | None = None, callback: Any = None) -> None:
        deliver = self.take()
        if deliver is None:
            raise Empty()
        deliver()

    def close(self) -> None:
        closed = self.closed
        super().close()
        if not closed and self._consumer is not None:
            HubLink.run_last(self._consumer.close)  # or its answers would find the leases given back


def _matches(channel: Channel, kind: str, bound: str, pattern: str, key: str) -> bool:
    if kind == "fanout":  # with a routing key as the Redis transport has it: a pattern of what to hear
        return not bound or not key or bound == key or fnmatchcase(key, bound.replace("#", "*"))
    if kind == "topic":
        return bool(TopicExchange(channel)._match(pattern, key))
    return bound == key


class Transport(virtual.Transport):
    Channel = Channel
    can_parse_url = True
    polling_interval = None
    driver_type = "redis"
    driver_name = "shoal"
    connection_errors = (*virtual.Transport.connection_errors, *_leases.connection_errors())
    channel_errors = (*virtual.Transport.channel_errors, exceptions.ResponseError)
    implements = virtual.Transport.implements.extend(
        asynchronous=True, exchange_type=frozenset(["direct", "topic", "fanout"])
    )

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        url = client.hostname or ""
        if "://" not in url:  # after Connection.switch(), or built from parts
            url = f"shoal://{url}/{(client.virtual_host or '').strip('/')}"
        address = parse(url)
        self.place = (address.name, address.db)
        self._options = dict(address.options)
        self._hub: HubLink | None = None
        _leases.install()

    @property
    def segment(self) -> _shoal.Segment:
        return self.queues.segment

    @property
    def queues(self) -> _shoal.Queues:
        return _leases.queues_of(*self.place, **self._options)

    def driver_version(self) -> str:
        return version("shoal")

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        return uri if "://" in uri else f"shoal://{uri}"

    def establish_connection(self) -> Transport:
        _ = self.queues  # attaches: an error here is the connection's
        return super().establish_connection()

    def close_connection(self, connection: Any) -> None:
        if self._hub is not None:
            self._hub.stop()
            self._hub = None
        super().close_connection(connection)

    def take(self, wait: bool = True) -> Callable[[], None] | None:
        """Takes one message of any channel; calling what is returned delivers it. One channel's locked shard does not
        keep the others waiting."""
        busy: HolderStopped | None = None
        for channel in list(self.channels):
            try:
                deliver: Callable[[], None] | None = channel.take(wait)
            except HolderStopped as error:
                if wait:
                    raise
                busy = error
            else:
                if deliver is not None:
                    return deliver
        if busy is not None:
            raise busy
        return None

    def listening(self, wait: bool = True) -> Iterator[_shoal.Consumer]:
        """The consumers that could take a message; before them the others give their turn away. One channel's locked
        shard does not keep the others waiting: its error comes last."""
        busy: HolderStopped | None = None
        for channel in self.channels:
            if channel._consumer is None or channel.ready_to_consume():
                continue
            try:
                channel._consumer.unlisten(wait=wait)
            except HolderStopped as error:
                if wait:
                    raise
                busy = error
        yield from [channel.consumer for channel in self.channels if channel.ready_to_consume()]
        if busy is not None:
            raise busy

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> None:
        deadline = None if timeout is None else monotonic() + timeout
        while (deliver := self.take()) is None:
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            _sleep(self.segment, list(self.listening()), left)
        deliver()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        if self._hub is not None:
            self._hub.stop()
        self._hub = HubLink(self, loop)

    def on_readable(self, *args: Any) -> None:
        if self._hub is not None:
            self._hub.turn()


def _sleep(segment: _shoal.Segment, consumers: list[_shoal.Consumer], timeout: float | None) -> None:
    """Until one of the consumers may find something, or the time is over."""
    if not consumers:
        select.select([], [], [], timeout)
    else:
        _shoal.wait_for_task(segment, consumers, timeout)
