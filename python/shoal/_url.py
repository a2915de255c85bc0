# SPDX-License-Identifier: MIT
"""The one grammar of Shoal's addresses, for clients, Celery's broker and result backend, and tools.

    shoal://NAME[/DB][?option=value[&option=value...]]          shoal:///NAME... is the same

NAME is the segment's name, its case kept: 1 to 64 letters, digits, "_", "-" and ".", not beginning with a dot.
DB is 0 to 15 (default 0). Options: how a segment is created when there is none yet (OPENING), and how replies look
(REPLIES). Whatever cannot be read is an AddressError that names the part and what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from ._exceptions import AddressError

SCHEME = "shoal"
SERVER_SCHEMES = ("redis", "rediss", "unix")  # redis-py's own: they lead to a Redis server
DATABASES = 16
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def _boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise ValueError("write true or false")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError("write a whole number")
    return int(text)


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([kmg]?)(?:i?b)?", text.lower())
    if not match:
        raise ValueError("write bytes, or a size such as 512MiB or 2GiB")
    return int(match[1]) * _UNITS[match[2]]


def _mode(text: str) -> int:
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise ValueError("write an octal file mode such as 0600")
    return int(text, 8)


def _protocol(text: str) -> int:
    if text not in ("2", "3"):
        raise ValueError("write 2 or 3")
    return int(text)


OPENING: Mapping[str, Callable[[str], Any]] = {
    "create": _boolean,
    "max_size": _size,
    "shards": _count,
    "contexts": _count,
    "slots": _count,
    "mode": _mode,
    "daemon": _boolean,
}
REPLIES: Mapping[str, Callable[[str], Any]] = {
    "decode_responses": _boolean,
    "encoding": str,
    "encoding_errors": str,
    "protocol": _protocol,
    "legacy_responses": _boolean,
    "client_name": str,
}


@dataclass(frozen=True)
class Address:
    """A segment, a database in it, and options by name, already of their types."""

    name: str
    db: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        path = f"/{self.db}" if self.db else ""
        query = urlencode({key: _spell(key, value) for key, value in self.options.items()})
        return f"{SCHEME}://{self.name}{path}" + (f"?{query}" if query else "")


def scheme_of(url: str) -> str:
    """The part before "://", or "" when there is none."""
    if not isinstance(url, str):
        raise AddressError(f"a URL is a text, not {type(url).__name__}: write {SCHEME}://NAME")
    head, colon, _ = url.partition("://")
    return head.lower() if colon else ""


def is_server_url(url: str) -> bool:
    """Does this URL lead to a Redis server (redis-py's own client), and not to a segment?"""
    return scheme_of(url) in SERVER_SCHEMES


def parse(url: str, extra: Mapping[str, Callable[[str], Any]] | None = None) -> Address:
    """Reads a shoal:// URL. `extra` names the options that a caller of its own understands, with their converters."""
    scheme = scheme_of(url)
    if scheme != SCHEME:
        schemes = ", ".join(f"{known}://" for known in (SCHEME, *SERVER_SCHEMES))
        what = f'scheme "{scheme}://" is not known' if scheme else 'there is no "://" in it'
        raise _bad(url, what, f"write {SCHEME}://NAME; known are {schemes}")
    rest, _, query = url[len(SCHEME) + 3 :].partition("?")
    parts = rest.removeprefix("/").split("/")
    if "@" in parts[0]:
        shown = re.sub(r"//[^@]*@", "//***@", url)
        what = 'there is an "@" before the name'
        raise _bad(shown, what, "leave user and password out: the segment's file mode says who may use it")
    if "#" in url:
        raise _bad(url, 'there is a "#" in it', "leave the fragment out: a segment has none")
    if len(parts) > 2 and parts[2:] != [""]:
        raise _bad(url, f'"/{"/".join(parts[2:])}" stands after the database', f"write {SCHEME}://NAME/DB")
    try:
        name = check_name(unquote(parts[0]))
    except AddressError as error:
        raise _bad(url, str(error)) from None
    options = _read_options(url, query, extra or {})
    in_path = parts[1] if len(parts) > 1 and parts[1] else None
    in_query = options.pop("db", None)
    if in_path is not None and in_query is not None and in_path != in_query:
        raise _bad(url, f'the path says database "{in_path}", the option db says "{in_query}"', "keep one of them")
    return Address(name, _database(url, in_path or in_query or "0"), options)


def check_name(name: str) -> str:
    """Returns the name of a segment, or says why it cannot be one."""
    if not name:
        raise AddressError(f"the segment's name is missing: write {SCHEME}://NAME")
    if not _NAME.fullmatch(name):
        raise AddressError(
            f'"{name}" cannot name a segment: use 1 to 64 letters, digits, "_", "-" and ".", not beginning with a dot'
        )
    return name


def check_db(db: int | str) -> int:
    """Returns the number of a database, or says why it cannot be one."""
    text = str(db)
    if not text.isascii() or not text.isdigit() or int(text) >= DATABASES:
        raise AddressError(f'"{text}" is not a database: they are numbered 0 to {DATABASES - 1}')
    return int(text)


def _database(url: str, text: str) -> int:
    try:
        return check_db(text)
    except AddressError as error:
        raise _bad(url, str(error), f"write {SCHEME}://NAME/DB") from None


def _read_options(url: str, query: str, extra: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    known: dict[str, Callable[[str], Any]] = {**OPENING, **REPLIES, "db": str, **extra}
    options: dict[str, Any] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        convert = known.get(key)
        if convert is None:
            close = get_close_matches(key, known, n=1)
            hint = f'did you mean "{close[0]}"?' if close else f"known are {', '.join(sorted(known))}"
            raise _bad(url, f'option "{key}" is not known', hint)
        if key in options:
            raise _bad(url, f'option "{key}" stands there twice', "keep one of them")
        try:
            options[key] = convert(text)
        except ValueError as error:
            raise _bad(url, f'option {key} has the value "{text}"', str(error)) from None
    return options


def _spell(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:04o}" if key == "mode" else str(value)


def _bad(url: str, what: str, remedy: str = "") -> AddressError:
    return AddressError(f"cannot read {url!r}: {what}" + (f"; {remedy}" if remedy else ""))
