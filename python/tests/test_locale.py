# SPDX-License-Identifier: MIT
"""Numbers in a program that has chosen its user's locale, of a country that writes 1,5."""

import os
import subprocess
import sys

import pytest

from conftest import SMALL
from test_environments import ENVIRONMENT

PROGRAM = f"""
import locale, sys
locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
assert locale.localeconv()["decimal_point"] == ","
import shoal
r = shoal.Redis(sys.argv[1], decode_responses=True, protocol=2, **{SMALL!r})
print(r.zadd("z", {{"a": 1.5, "b": "2.25"}}), r.execute_command("ZSCORE", "z", "a"))
print(r.incrbyfloat("f", 1.5), r.get("f"), r.incrbyfloat("f", "0.25"), r.get("f"))
print(r.hincrbyfloat("h", "f", 0.1), r.hget("h", "f"))
print(r.zrangebyscore("z", "(1.5", "2.5"), r.rpush("l", "1.5", "1.25"), r.sort("l"))
try:
    r.zadd("z", {{"c": "1,5"}})
except shoal.ResponseError as error:
    print(error)
assert locale.localeconv()["decimal_point"] == ","
"""
EXPECTED = """2 1.5
1.5 1.5 1.75 1.75
0.1 0.1
['b'] 2 ['1.25', '1.5']
value is not a valid float
"""


@pytest.fixture(scope="module")
def locales(tmp_path_factory):
    """A folder with the locale de_DE.UTF-8, for LOCPATH."""
    folder = tmp_path_factory.mktemp("locales")
    subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")], check=True, timeout=60)
    return folder


def test_numbers_have_a_point_in_every_locale(name, locales):
    environment = {**ENVIRONMENT, "LOCPATH": str(locales), "SHOAL_RUNTIME_DIR": os.environ["SHOAL_RUNTIME_DIR"]}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, name], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (run.stdout, run.stderr) == (EXPECTED, "")
