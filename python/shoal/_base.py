# SPDX-License-Identifier: MIT
"""What the sync and the asyncio client share: a session for each command, and redis-py's callbacks on its reply.

A command costs what its work costs: no connection, no packing, no parser. The reply has the shape that redis-py's
parser would give, and the same response callbacks turn it into what its methods return.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from redis.client import EMPTY_RESPONSE, NEVER_DECODE

from ._pool import SegmentPool

if TYPE_CHECKING:
    from . import _shoal

# response_callbacks is redis-py's dict subclass whose own lookups call upper() in Python; command names are mostly
# upper case already, and then the plain lookup finds the same.
_lookup: Callable[..., Any] = dict.get


def apply_callback(callbacks: Any, name: Any, reply: Any, options: dict[str, Any]) -> Any:
    """What redis-py's parse_response does once the reply is there."""
    callback = _lookup(callbacks, name)
    if callback is None and not name.isupper():
        callback = callbacks.get(name)
    if callback is None:
        return reply
    if options:
        options.pop("keys", None)  # only for redis-py's client-side cache
    return callback(reply, **options)


class ClientBase:
    """Sessions and callbacks of one client.

    GET and SET without options and asyncio's PUBLISH go straight into the extension. They do not even take a session
    out of the list: such a call neither waits nor lets the GIL go, so it may use one that lies there. `_hot` is that
    list, or empty for ever once a callback was set for one of them, if a subclass wants to see every command, and where
    texts are encoded in Python, in the midst of which another thread may take the session.
    """

    connection_pool: SegmentPool
    response_callbacks: Any
    _idle: list[Any]
    _hot: Sequence[Any]

    def _open(self, pool: SegmentPool, own_sessions: bool, may_be_hot: bool) -> None:
        self._idle = [] if own_sessions else pool.idle
        self._hot = self._idle if may_be_hot and pool.in_extension else ()

    @property
    def segment(self) -> _shoal.Segment:
        """The segment that this client works on."""
        return self.connection_pool.segment

    def _new_session(self) -> Any:
        return self.connection_pool.new_session()

    def set_response_callback(self, command: str, callback: Callable[..., Any]) -> None:
        """Set a custom response callback, as in redis-py."""
        if command.upper() in ("GET", "SET", "PUBLISH"):
            self._hot = ()
        self.response_callbacks[command] = callback


def take_session(idle: list[Any], make: Callable[[], Any]) -> Any:
    """A free session, or a new one."""
    try:
        return idle.pop()
    except IndexError:
        return make()


__all__ = ["EMPTY_RESPONSE", "NEVER_DECODE", "ClientBase", "apply_callback", "take_session"]
