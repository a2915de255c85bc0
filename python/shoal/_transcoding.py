# SPDX-License-Identifier: MIT
"""Encodings other than strict UTF-8. The extension knows only that one; this wrapper turns texts round in Python.

It has the methods of `_shoal.Session`, so that clients do not notice.
"""

from __future__ import annotations

import codecs
from typing import Any

from redis._parsers import Encoder

from . import _shoal


def is_utf8(encoder: Encoder) -> bool:
    """Can the extension do all of this encoder's work?"""
    return codecs.lookup(encoder.encoding).name == "utf-8" and encoder.encoding_errors == "strict"


class TranscodingSession:
    """A session whose texts are in another encoding; bytes pass through it unchanged."""

    def __init__(self, session: _shoal.Session, encoder: Encoder) -> None:
        self._session = session
        self._encoder: Any = encoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def execute(self, args: tuple[Any, ...]) -> Any:
        return self._decode(self._session.execute(self._encode(args)))

    def execute_bytes(self, args: tuple[Any, ...]) -> Any:
        return self._session.execute_bytes(self._encode(args))

    def try_execute(self, args: tuple[Any, ...]) -> Any:
        return self._decode(self._session.try_execute(self._encode(args)))

    def try_execute_bytes(self, args: tuple[Any, ...]) -> Any:
        return self._session.try_execute_bytes(self._encode(args))

    def resume(self) -> Any:
        return self._decode(self._session.resume())

    def execute_many(self, commands: list[tuple[Any, ...]], atomic: bool) -> list[Any] | None:
        replies: list[Any] | None = self._decode(
            self._session.execute_many([self._encode(args) for args in commands], atomic)
        )
        return replies

    def try_execute_many(self, commands: list[tuple[Any, ...]], atomic: bool, replies: list[Any]) -> Any:
        raw: list[Any] = []
        state = self._session.try_execute_many([self._encode(args) for args in commands], atomic, raw)
        replies.extend(self._decode(raw))
        return state

    def _encode(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(map(self._encoder.encode, args))

    def _decode(self, reply: Any) -> Any:
        if isinstance(reply, bytes):
            return self._encoder.decode(reply)
        if isinstance(reply, list):
            return [self._decode(item) for item in reply]
        if isinstance(reply, dict):
            return {self._decode(key): self._decode(value) for key, value in reply.items()}
        if isinstance(reply, set):
            return {self._decode(item) for item in reply}
        return reply
