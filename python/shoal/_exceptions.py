# SPDX-License-Identifier: MIT
"""What can go wrong, beside Redis's own errors.

    redis.exceptions.RedisError
    |-- ResponseError, WatchError, ...      a command's own error: redis-py's class, Redis's text
    `-- ShoalError                          everything that only a shared-memory segment can meet
        |-- AddressError                    (ValueError)         a URL, name or option that cannot be read
        |-- SegmentFull                     (OutOfMemoryError)   "OOM ...": no memory left, nothing was changed
        |-- HolderStopped                   (TimeoutError)       the process that holds a lock is stopped; names it
        `-- SegmentError                    (ConnectionError)    the segment cannot be used
            |-- SegmentNotFound             there is none of this name, and create=False
            |-- SegmentMismatch             foreign file, other layout version, wrong owner or mode
            |-- SegmentRemoved              it was removed while this process used it
            |-- SegmentCorrupt              damaged beyond what the journal can undo
            `-- SegmentBusy                 no place left for one more process or thread

The class in brackets is the one of redis.exceptions (or built in) that it is as well, so that code written for redis-py
catches it where it catches the like. The extension raises these; its errors.cc is the only map from a code to a class.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable

from redis import exceptions as _redis
from redis._parsers import BaseParser

# redis-py 8 has a class for "OOM ..."; before that it is a plain ResponseError.
_OutOfMemory: type[_redis.ResponseError] = getattr(_redis, "OutOfMemoryError", _redis.ResponseError)


_parse_error: Callable[[str], Exception] = BaseParser.parse_error


class ShoalError(_redis.RedisError):
    """Base of the errors that a Redis server does not have."""


class AddressError(ShoalError, builtins.ValueError):
    """A URL, a segment's name or an option cannot be read; the text says what, where and what to write instead."""


class SegmentFull(ShoalError, _OutOfMemory):  # type: ignore[misc, valid-type]
    """The segment has no memory left for this write; nothing was changed."""


class HolderStopped(ShoalError, _redis.TimeoutError):
    """A lock was not to be had in time because its holder is stopped (SIGSTOP, a debugger); the text names the pid."""


class SegmentError(ShoalError, _redis.ConnectionError):
    """The segment cannot be used."""


class SegmentNotFound(SegmentError):
    """There is no segment of this name, and it was not to be created."""


class SegmentMismatch(SegmentError):
    """The file is not a segment that this version may use: other layout, foreign content, wrong owner or mode."""


class SegmentRemoved(SegmentError):
    """The segment was removed while this process used it."""


class SegmentCorrupt(SegmentError):
    """The segment is damaged beyond what its journal can undo."""


class SegmentBusy(SegmentError):
    """The segment has no place left for one more process or thread."""


def error_from_text(text: str) -> Exception:
    """The exception that redis-py raises when a server answers with this error; called by the extension."""
    if text.startswith("OOM "):
        return SegmentFull(text)
    error: Exception = _parse_error(text)
    return error
