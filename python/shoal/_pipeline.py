# SPDX-License-Identifier: MIT
"""redis-py's Pipeline over one session, sync and asyncio.

Queued commands go into the extension as one list: as MULTI/EXEC (all or nothing, one commit), or one after the other.
After watch() a command runs at once in the session that watches, as in redis-py. Errors are those of redis-py:
annotated with the command's number, raised, or left in the list.
"""

from __future__ import annotations

import inspect
from typing import Any

import redis.asyncio.client
import redis.client
from redis.exceptions import ResponseError, WatchError

from . import _shoal
from ._base import EMPTY_RESPONSE, NEVER_DECODE, apply_callback, take_session
from ._loop import finish_command, finish_many

_Commands = list[tuple[tuple[Any, ...], dict[str, Any]]]


class _PipelineBase:
    """The parts without an await; `self` is one of redis-py's pipelines as well."""

    connection_pool: Any
    response_callbacks: Any
    command_stack: Any
    scripts: Any
    transaction: Any
    watching: bool
    explicit_transaction: bool
    _session: _shoal.Session | None = None

    def _take(self) -> _shoal.Session:
        session = self._session
        if session is None:
            pool = self.connection_pool
            session = self._session = take_session(pool.idle, pool.new_session)
        return session

    def _note_watching(self, name: Any) -> None:
        if name in redis.client.Pipeline.UNWATCH_COMMANDS:
            self.watching = False
        elif name == "WATCH":
            self.watching = True

    def _callback(self, name: Any, reply: Any, options: dict[str, Any]) -> Any:
        options.pop(NEVER_DECODE, None)
        options.pop(EMPTY_RESPONSE, None)
        return apply_callback(self.response_callbacks, name, reply, options)

    def _drop_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            if self.watching:
                session.execute(("UNWATCH",))
            self.connection_pool.idle.append(session)
        self.command_stack = []
        self.scripts = set()
        self.watching = False
        self.explicit_transaction = False

    def _sendable(self, commands: _Commands, atomic: bool) -> list[tuple[Any, ...]]:
        return [args for args, options in commands if not atomic or EMPTY_RESPONSE not in options]

    def _aborted(self, error: Exception, commands: _Commands) -> Exception:
        """MULTI refused the command number `error.index`: redis-py raises its error, annotated."""
        index = getattr(error, "index", None)
        if index is not None:
            args = self._sendable(commands, True)[index]
            position = next(i for i, command in enumerate(commands) if command[0] is args)
            self.annotate_exception(error, position + 1, args)  # type: ignore[attr-defined]
        return error

    def _complete(self, commands: _Commands, replies: list[Any] | None, atomic: bool) -> list[Any]:
        """One reply for each command: redis-py does not send what has an EMPTY_RESPONSE within MULTI."""
        if replies is None:
            raise WatchError("Watched variable changed.")
        if atomic:
            self.watching = False
        for i, (_, options) in enumerate(commands):
            if EMPTY_RESPONSE in options:
                if atomic:
                    replies.insert(i, options[EMPTY_RESPONSE])
                elif isinstance(replies[i], ResponseError):
                    replies[i] = options[EMPTY_RESPONSE]
        return replies


class Pipeline(_PipelineBase, redis.client.Pipeline):
    """See redis.client.Pipeline."""

    def reset(self) -> None:  # type: ignore[override]
        self._drop_session()

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        session = self._take()
        try:
            reply = session.execute_bytes(args) if NEVER_DECODE in options else session.execute(args)
        except ResponseError:
            if EMPTY_RESPONSE in options:
                return options[EMPTY_RESPONSE]
            raise
        self._note_watching(args[0])
        return self._callback(args[0], reply, options)

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Execute all queued commands."""
        commands = self.command_stack
        if not commands and not self.watching:
            return []
        try:
            if self.scripts:
                self.load_scripts()  # type: ignore[no-untyped-call]
            atomic = bool(self.transaction or self.explicit_transaction)
            try:
                replies = self._take().execute_many(self._sendable(commands, atomic), atomic)
            except ResponseError as error:
                raise self._aborted(error, commands) from None
            results = self._complete(commands, replies, atomic)
            if raise_on_error and atomic:
                self.raise_first_error(commands, results)  # type: ignore[no-untyped-call]
            for i, (args, options) in enumerate(commands):
                if not isinstance(results[i], Exception):
                    self._note_watching(args[0])
                    results[i] = self._callback(args[0], results[i], options)
            if raise_on_error and not atomic:
                self.raise_first_error(commands, results)  # type: ignore[no-untyped-call]
            return results
        finally:
            self.reset()


class AsyncPipeline(_PipelineBase, redis.asyncio.client.Pipeline):  # type: ignore[misc]
    """See redis.asyncio.client.Pipeline."""

    async def reset(self) -> None:  # type: ignore[override]
        self._drop_session()

    def __del__(self, *args: Any) -> None:
        """Nothing is left open."""

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        session = self._take()
        attempt = session.try_execute_bytes if NEVER_DECODE in options else session.try_execute
        try:
            reply = attempt(args)
            if reply is _shoal.BUSY or reply is _shoal.PENDING:
                reply = await finish_command(self.connection_pool.segment, session, attempt, args, reply)
        except ResponseError:
            if EMPTY_RESPONSE in options:
                return options[EMPTY_RESPONSE]
            raise
        self._note_watching(args[0])
        result = self._callback(args[0], reply, options)
        return await result if inspect.isawaitable(result) else result

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Execute all queued commands."""
        commands = self.command_stack
        if not commands and not self.watching:
            return []
        try:
            if self.scripts:
                await self.load_scripts()  # type: ignore[no-untyped-call]
            atomic = bool(self.is_transaction or self.explicit_transaction)
            try:
                replies = await finish_many(
                    self.connection_pool.segment, self._take(), self._sendable(commands, atomic), atomic
                )
            except ResponseError as error:
                raise self._aborted(error, commands) from None
            results = self._complete(commands, replies, atomic)
            if raise_on_error and atomic:
                self.raise_first_error(commands, results)
            for i, (args, options) in enumerate(commands):
                if not isinstance(results[i], Exception):
                    self._note_watching(args[0])
                    result = self._callback(args[0], results[i], options)
                    results[i] = await result if inspect.isawaitable(result) else result
            if raise_on_error and not atomic:
                self.raise_first_error(commands, results)
            return results
        finally:
            await self.reset()
