"""Is the answer to a smoke test what the user expects?"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from sophia_operator.api.smoke import JsonPathExpectation, SmokeTest
from sophia_operator.core.findings import SmokeResult

_STEP: Final = re.compile(r"\.([A-Za-z0-9_-]+)|\[([0-9]+)\]")
#: Of a value that the service sent, only so much goes into a message.
_SHOWN: Final = 100


class PathNotFoundError(LookupError):
    """The body has nothing at the path; the message says how far it goes."""


def judge_response(test: SmokeTest, status: int, body: bytes, elapsed_ms: float) -> SmokeResult:
    """Compare an answer with what the test expects. `elapsed_ms` is the time until the whole answer was there."""
    wanted = test.expect
    wrong: list[str] = []
    if status != wanted.status:
        wrong.append(f"the answer is {status}, {wanted.status} expected")
    if wanted.body_contains is not None and wanted.body_contains.encode() not in body:
        wrong.append(f"the body ({len(body)} bytes) does not contain {wanted.body_contains!r}")
    if wanted.json_path is not None and (problem := _at_path(wanted.json_path, body)) is not None:
        wrong.append(problem)
    if wanted.max_latency_ms is not None and elapsed_ms > wanted.max_latency_ms:
        wrong.append(f"it took {elapsed_ms:.0f} ms, at most {wanted.max_latency_ms} ms expected")
    if wrong:
        return SmokeResult(False, "; ".join(wrong))
    return SmokeResult(True, f"answered {status} in {elapsed_ms:.0f} ms")


def lookup(document: Any, path: str) -> Any:
    """The value at a path such as `.items[0].status`, or `$.items[0].status`. Raises PathNotFoundError."""
    value, walked = document, "$"
    for match in _STEP.finditer(path):
        name, position = match.groups()
        if name is not None:
            if not isinstance(value, dict) or name not in value:
                raise PathNotFoundError(f"there is no {name!r} at {walked}")
            value = value[name]
        else:
            if not isinstance(value, list) or int(position) >= len(value):
                raise PathNotFoundError(f"there is no item {position} at {walked}")
            value = value[int(position)]
        walked += match.group(0)
    return value


def _at_path(wanted: JsonPathExpectation, body: bytes) -> str | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return f"the body ({len(body)} bytes) is not JSON"
    try:
        value = lookup(document, wanted.path)
    except PathNotFoundError as problem:
        return f"{wanted.path}: {problem}"
    found = value if isinstance(value, str) else _canonical(value)
    expected = wanted.equals if isinstance(value, str) else _as_json(wanted.equals)
    if found == expected:
        return None
    shown = found if len(found) <= _SHOWN else f"{found[:_SHOWN]}…"
    return f"{wanted.path} is {shown!r}, {wanted.equals!r} expected"


def _canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _as_json(text: str) -> str:
    """The text in the same form as the value, so that spaces and the order of names do not matter."""
    try:
        return _canonical(json.loads(text))
    except (ValueError, RecursionError):
        return text
