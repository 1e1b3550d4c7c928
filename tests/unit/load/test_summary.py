"""The line at the end of a test run adds the books of all tests up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from tests.conftest import pytest_terminal_summary


def test_requests_that_were_sent_twice_are_in_it() -> None:
    lines: list[str] = []

    def report(when: str, **sums: int) -> Any:
        return SimpleNamespace(when=when, user_properties=list(sums.items()))

    books = [
        report("teardown", sent=100, lost=0, repeated=2, app_errors=5),
        report("call", sent=100, repeated=2),
        report("teardown", sent=50, repeated=1, lost_by_crash=3),
    ]
    pytest_terminal_summary(cast("Any", SimpleNamespace(stats={"": books}, write_line=lines.append)))
    assert lines == [
        "load: 150 requests sent, 0 lost, 3 sent twice, as their kept connection had closed; "
        "made on purpose: 5 errors, 3 lost by a release that crashed under traffic"
    ]
