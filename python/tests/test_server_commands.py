# SPDX-License-Identifier: MIT
"""What libraries and people ask of a server out of habit."""

import pytest
from redis.exceptions import ResponseError


def test_idle_time_is_refused_rather_than_made_up(r):
    assert r.object("idletime", "k") is None
    r.set("k", "v")
    with pytest.raises(ResponseError, match="idle time not tracked"):
        r.object("idletime", "k")
