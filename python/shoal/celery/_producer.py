# SPDX-License-Identifier: MIT
"""kombu's Producer without what costs a fifth of a send and finds that nothing has changed.

A send goes out in this process: there is no socket that may have closed since the last one. So each step asks first
whether anything is to be done, and what kombu does about it stays kombu's. Only instances are touched, those that a
send through Shoal used.
"""

from __future__ import annotations

from typing import Any

from kombu.connection import is_connection


def tune(producer: Any) -> None:
    """Does nothing to a producer that is tuned already. A producer belongs to one thread at a time."""
    if "maybe_declare" not in vars(producer):
        _look_before_binding(producer)
        _look_before_reviving(producer)
        _try_before_retrying(producer)


def _look_before_binding(producer: Any) -> None:
    """For every message kombu copies its queue and the queue's exchange and binds the copies, to find that the queue
    is declared. Here kombu's own look at what is declared comes first."""
    declare = producer.maybe_declare

    def maybe_declare(entity: Any, retry: bool = False, **policy: Any) -> Any:
        transport = producer.channel.connection
        if entity and transport and entity.can_cache_declaration and hash(entity) in transport.client.declared_entities:
            return False
        return declare(entity, retry, **policy)

    producer.maybe_declare = maybe_declare


def _look_before_reviving(producer: Any) -> None:
    """Out of its pool a producer gets a connection, nearly always the one it had. kombu copies the producer's exchange
    and binds the copy to the channel that the old one is bound to."""
    revive = producer.revive

    def look(channel: Any) -> None:
        same = channel._default_channel if is_connection(channel) and channel.connected else None
        if same is None or producer.exchange._channel is not same:
            return revive(channel)
        producer.__connection__, producer._channel = channel, same

    producer.revive = look


def _try_before_retrying(producer: Any) -> None:
    """kombu builds its loop of retries, a function with a document of its own, for every message."""
    publish = producer.publish

    def attempt(*args: Any, retry: bool = False, retry_policy: Any = None, **options: Any) -> Any:
        if not retry:
            return publish(*args, **options)
        connection, others = producer.connection, (retry_policy or {}).get("retry_errors") or ()
        try:
            return publish(*args, **options)
        except (*connection.recoverable_connection_errors, *connection.recoverable_channel_errors, *others):
            return publish(*args, retry=True, retry_policy=retry_policy, **options)

    producer.publish = attempt
