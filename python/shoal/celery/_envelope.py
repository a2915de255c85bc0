# SPDX-License-Identifier: MIT
"""How a kombu message lies in a queue: four bytes length (little endian), that much JSON, then the body.

The JSON holds everything but the body, which is not wrapped a second time: no base64, no JSON inside JSON.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from struct import Struct
from time import time
from typing import Any

from kombu.utils.json import JSONEncoder, loads

_LENGTH = Struct("<I")
_encode = JSONEncoder().encode  # as kombu's dumps(), which makes an encoder for each message


def read_json(data: bytes) -> Any:
    """As kombu's loads(), whose Python function that looks at every object is called only if its mark is there."""
    text = data.decode()
    return loads(text) if '"__type__"' in text else json.loads(text)


def pack(message: dict[str, Any]) -> bytes:
    body = message["body"]
    head = _encode(
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
    message: dict[str, Any] = read_json(data[4 : 4 + length])
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
