# SPDX-License-Identifier: MIT
"""How a kombu message lies in a queue: four bytes length (little endian), that much JSON, then the body.

The JSON holds everything but the body, which is not wrapped a second time: no base64, no JSON inside JSON.
"""

from __future__ import annotations

from datetime import datetime, timezone
from struct import Struct
from time import time
from typing import Any

from kombu.utils.json import dumps, loads

_LENGTH = Struct("<I")


def pack(message: dict[str, Any]) -> bytes:
    body = message["body"]
    head = dumps(
        {
            "headers": message["headers"],
            "properties": message["properties"],
            "content-type": message["content-type"],
            "content-encoding": message["content-encoding"],
        }
    ).encode()
    if isinstance(body, str):
        body = body.encode()
    return b"".join((_LENGTH.pack(len(head)), head, body or b""))


def unpack(data: bytes) -> dict[str, Any]:
    (length,) = _LENGTH.unpack_from(data)
    message: dict[str, Any] = loads(data[4 : 4 + length])
    message["body"] = data[4 + length :]
    return message


def due_ms(message: dict[str, Any]) -> int:
    """When a task with an ETA comes due, in milliseconds of the wall clock; 0 = now, or no ETA that can be read."""
    eta = message["headers"].get("eta")
    if not eta:
        return 0
    try:
        when = eta if isinstance(eta, datetime) else datetime.fromisoformat(str(eta).replace("Z", "+00:00"))
    except ValueError:
        return 0  # the worker reports it
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    milliseconds = int(when.timestamp() * 1000)
    return milliseconds if milliseconds > time() * 1000 else 0
