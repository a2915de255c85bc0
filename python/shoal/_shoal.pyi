import enum
from typing import Any


def daemon_program() -> str:
    """The shoald that attach() would start; empty: none is found."""

class Segment:
    """An attached segment: one for each name and process."""

    @staticmethod
    def attach(name: str, *, create: bool = True, max_size: int = 0, shards: int = 0, contexts: int = 0, slots: int = 0, mode: int = 384, daemon: bool = True) -> Segment: ...

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def runtime_dir(self) -> str: ...

    def lock_holders(self) -> list[int]:
        """Pids of those who hold a lock of the segment at this moment."""

    def watch_daemon(self) -> int:
        """
        A new descriptor, readable once the daemon is gone; -1: no daemon, call sweep() now and then.
        """

    def sweep(self) -> bool:
        """
        Repair and give back what dead processes held; True: a daemon does that again.
        """

class Sign(enum.Enum):
    """What an event loop gets instead of a reply."""

    BUSY = 0
    """A lock is held too long: nothing happened, try again."""

    PENDING = 1
    """A blocking command waits: resume() after a wake, or cancel()."""

BUSY: Sign = Sign.BUSY

PENDING: Sign = Sign.PENDING

class Session:
    """What a connection is to a server. For one thread at a time."""

    def __init__(self, segment: Segment, db: int = 0, protocol: int = 3, decode: bool = False) -> None: ...

    def execute(self, args: tuple[Any, ...], /) -> Any: ...

    def execute_bytes(self, args: tuple[Any, ...], /) -> Any: ...

    def try_execute(self, args: tuple[Any, ...], /) -> Any: ...

    def try_execute_bytes(self, args: tuple[Any, ...], /) -> Any: ...

    def resume(self) -> Any: ...

    def pending_timeout(self) -> float | None: ...

    def cancel(self) -> None: ...

    def execute_many(self, commands: list[tuple[Any, ...]], atomic: bool, /) -> list[Any] | None: ...

    def try_execute_many(self, commands: list[tuple[Any, ...]], atomic: bool, replies: list[Any], /) -> Any: ...

    def try_get(self, key: Any, /) -> Any: ...

    def try_set(self, key: Any, value: Any, /) -> Any: ...

    def try_publish(self, channel: Any, message: Any, /) -> Any: ...

def when_messages_stay(call: object) -> None:
    """
    Who is called with the segment when this thread's committed messages wait for a lock: flush_messages() again.
    """

def flush_messages(segment: Segment) -> bool:
    """Publish what waits in this thread; True: nothing is left."""

def publish(segment: Segment, channel: object, data: object, wait: bool = True) -> object:
    """(receivers, incarnation, sequence, history_cut), or BUSY."""

def configure_channel(segment: Segment, channel: object, keep: int, ttl_ms: int = 0, wait: bool = True) -> object:
    """The history that a channel keeps; keep=0: none."""

class Subscriber:
    """Channels and patterns, each read at a cursor of its own."""

    def __init__(self, segment: Segment, decode: bool = False) -> None: ...

    def subscribe(self, channel: object, last: int | None = None, since: tuple[int, int] | None = None, wait: bool = True) -> object:
        """False: was subscribed already."""

    def psubscribe(self, pattern: object, wait: bool = True) -> object: ...

    def unsubscribe(self, channel: object, wait: bool = True) -> object: ...

    def punsubscribe(self, pattern: object, wait: bool = True) -> object: ...

    def drop(self, channel: object) -> None:
        """
        Unsubscribe for a caller that must not wait: it hears nothing more; if a lock is held, the others see it later.
        """

    def close(self, *, wait: bool = True) -> None:
        """wait=False: as drop() does it, for all of them."""

    @property
    def count(self) -> int: ...

    def read(self, max: int = 256, *, wait: bool = True) -> Any:
        """A list; wait=False: or BUSY, and then nothing was read."""

    def read_as(self, message: type, gap: type, max: int = 256, *, wait: bool = True) -> Any: ...

    @property
    def has_gaps(self) -> bool: ...

    def take_gaps(self) -> list[Any]: ...

    def readable(self) -> bool: ...

    def wait(self, seconds: float | None = None) -> bool: ...

class Waker:
    """
    The wake FIFO of the thread that makes it; see shoal._loop for its protocol.
    """

    def __init__(self, segment: Segment) -> None: ...

    def fileno(self) -> int: ...

    def arm(self) -> None: ...

    def rouse(self) -> None: ...

    def drain(self) -> None: ...

    def disarm(self) -> None: ...

class Queues:
    """The task queues of one database of a segment."""

    def __init__(self, segment: Segment, db: int = 0) -> None: ...

    def declare(self, name: bytes, *, max_length: int = 0, drop_head: bool = True, max_deliveries: int = 0, auto_delete: bool = False, expires_ms: int = 0, wait: bool = True) -> int: ...

    def push(self, name: bytes, data: bytes, priority: int = 0, due_ms: int = 0, *, wait: bool = True) -> None: ...

    def stats(self, name: bytes, *, wait: bool = True) -> dict[str, Any] | None: ...

    def purge(self, name: bytes, *, wait: bool = True) -> int: ...

    def delete(self, name: bytes, *, wait: bool = True) -> int: ...

    def dead_letters(self, name: bytes, limit: int = 100) -> list[bytes]: ...

    def revive(self, arg: bytes, /) -> int: ...

    def bind(self, exchange: bytes, key: bytes, pattern: bytes, queue: bytes, *, wait: bool = True) -> None: ...

    def unbind(self, exchange: bytes, key: bytes, pattern: bytes, queue: bytes, *, wait: bool = True) -> None: ...

    def bindings(self, exchange: bytes, *, wait: bool = True) -> list[tuple[bytes, bytes, bytes, int]]: ...

    def push_routes(self, exchange: bytes, routes: list[tuple[bytes, int]], data: bytes, priority: int = 0, due_ms: int = 0, *, wait: bool = True) -> bool:
        """
        Into all these queues (name, incarnation) or none; False: none of them is there any more.
        """

    def push_existing(self, name: bytes, data: bytes, *, wait: bool = True) -> bool: ...

    @property
    def segment(self) -> Segment: ...

    def start(self, arg: str, /) -> bool: ...

    def finish(self, arg0: str, arg1: int, /) -> bool: ...

class Consumer:
    """A handle that leases tasks of one or several queues."""

    def __init__(self, queues: Queues) -> None: ...

    def add(self, queue: bytes, no_ack: bool, *, wait: bool = True) -> None: ...

    def remove(self, queue: bytes, *, wait: bool = True) -> None: ...

    def take(self, *, wait: bool = True) -> tuple[bytes, str | None, bytes, bool] | None: ...

    def take_from(self, queue: bytes, no_ack: bool, *, wait: bool = True) -> tuple[bytes, str | None, bytes, bool] | None: ...

    def ack(self, tag: str, *, wait: bool = True) -> bool: ...

    def reject(self, tag: str, requeue: bool, *, wait: bool = True) -> bool: ...

    def listen(self, *, wait: bool = True) -> int: ...

    def unlisten(self, *, wait: bool = True) -> None: ...

    def close(self, *, wait: bool = True) -> None: ...

def wait_for_task(segment: Segment, consumers: list[Consumer], timeout: float | None) -> bool:
    """
    Sleeps until one of the consumers may find a task, or the time is over (False); may return early.
    """

def queue_stats(segment: Segment, /) -> list[dict[str, Any]]: ...

def expire_queues(arg: Segment, /) -> None: ...
