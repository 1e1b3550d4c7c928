"""What models answer: streams of events, or one completion in JSON where a stream was asked for. No I/O.

Not by content type: servers name it as they like. The first bytes say what it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from sophia_operator.adapters.model_words import error_in, shown
from sophia_operator.core.model.findings import Completion, ModelFailure, ModelFault

#: An answer may be so large, in bytes; 1,024 tokens with everything that providers say of each are half of it.
LARGEST: Final = 2 * 1024 * 1024
#: Beginnings of lines of a stream of events.
_OF_EVENTS: Final = (b"data", b"event", b"id", b"retry", b":")
#: Less time than that between the first and the last token says nothing of a rate.
_SHORTEST_SECONDS: Final = 0.001
#: Of an answer without the text that it should have, so much is shown.
_SHOWN: Final = 80


@dataclass(slots=True)
class Answer:
    """An answer, as far as it was read. Times are seconds of one clock."""

    #: Nothing more of it is to be read: it is whole, or wrong.
    done: bool = False
    problem: ModelFailure | None = None
    text: str = ""
    first_at: float | None = None
    last_at: float = 0.0
    ended_at: float = 0.0
    finish: str | None = None
    _pieces: int = 0
    _usage: int | None = None
    #: Tokens that were thought and not shown.
    _hidden: int = 0
    _thought: bool = False
    _completions: int = 0
    _size: int = 0
    _is_stream: bool | None = None
    _rest: bytearray = field(default_factory=bytearray)
    _data: list[bytes] = field(default_factory=list)

    def feed(self, data: bytes, at: float) -> None:
        """The next part of the body, and when it came."""
        self._size += len(data)
        if self._size > LARGEST:
            self._wrong(f"the answer is larger than {LARGEST // 1024**2} MiB")
            return
        self._rest += data
        if self._is_stream is None:
            begin = bytes(self._rest[:64]).removeprefix(b"\xef\xbb\xbf").lstrip()
            if not begin or (len(begin) < 6 and any(word.startswith(begin) for word in _OF_EVENTS)):
                return
            self._is_stream = begin.startswith(_OF_EVENTS)
        # A line can come in a million parts: nothing is looked at twice.
        if self._is_stream and b"\n" in data:
            self._lines(at)

    def end(self, at: float) -> None:
        """There is no more."""
        if self.done:
            return
        if self._is_stream:
            self._line(bytes(self._rest), at)
            self._event(at)
        else:
            self._whole(at)
        self.ended_at = at

    def result(self, started: float, expect: str | None, api_key: str | None) -> Completion | ModelFailure:
        """What it comes to; `started` is when the request was sent."""
        if self.problem is not None:
            return ModelFailure(self.problem.fault, shown(self.problem.message, api_key))
        if not self._completions:
            return ModelFailure(ModelFault.INVALID_ANSWER, "answers 200 without a completion")
        if not self.done and self.finish is None:
            return ModelFailure(ModelFault.TRUNCATED, "the stream ended before the answer was whole")
        tokens = self._usage if self._usage is not None else self._pieces
        if self.first_at is None and not self._usage:
            return ModelFailure(ModelFault.INVALID_ANSWER, "the answer is empty")
        if expect is not None and expect.casefold() not in self.text.casefold():
            return ModelFailure(ModelFault.UNEXPECTED_ANSWER, self._unexpected(expect, api_key))
        first = self.first_at if self.first_at is not None else self.ended_at
        took = self.last_at - first
        after_first = tokens - self._hidden - 1
        pace = after_first / took if after_first > 0 and took >= _SHORTEST_SECONDS else None
        first_ms, total_ms = (max(0.0, moment - started) * 1000 for moment in (first, self.ended_at))
        return Completion(first_ms, max(first_ms, total_ms), tokens, pace)

    def _unexpected(self, expect: str, api_key: str | None) -> str:
        said = shown(self.text, api_key, _SHOWN)
        cut = "; it was cut, so raise probe.maxTokens if it would have come" if self.finish == "length" else ""
        return f'the answer is without "{expect}": it is "{said}"{cut}'

    def _wrong(self, message: str) -> None:
        self.problem, self.done = ModelFailure(ModelFault.INVALID_ANSWER, message), True

    def _lines(self, at: float) -> None:
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest
        for line in lines:
            self._line(bytes(line), at)
            if self.done:
                return

    def _line(self, line: bytes, at: float) -> None:
        line = line.rstrip(b"\r")
        if not line:
            self._event(at)
            return
        name, _, value = line.partition(b":")
        if name.removeprefix(b"\xef\xbb\xbf") == b"data":
            self._data.append(value.removeprefix(b" "))

    def _event(self, at: float) -> None:
        data, self._data = b"\n".join(self._data).strip(), []
        if not data:
            return
        if data == b"[DONE]":
            self.done, self.ended_at = True, at
            return
        try:
            parsed = json.loads(data)
        except (ValueError, RecursionError):
            self._wrong("answers 200 with events that are no JSON")
            return
        self._take(parsed, at)

    def _whole(self, at: float) -> None:
        try:
            parsed = json.loads(self._rest)
        except (ValueError, RecursionError):
            self._wrong("answers 200 with something that is no JSON: does the URL lead to an API?")
            return
        self._take(parsed, at)
        # Not each server that answers whole says why it stopped.
        self.done = True

    def _take(self, parsed: Any, at: float) -> None:
        error = error_in(parsed)
        if error is not None:
            self._wrong(f"answers 200 with an error: {error}")
            return
        if not isinstance(parsed, dict):
            self._wrong("answers 200 without a completion")
            return
        self._count(parsed.get("usage"))
        choices = parsed.get("choices")
        if not isinstance(choices, list):
            return
        for choice in choices[:1]:
            if isinstance(choice, dict):
                self._completions += 1
                self._choose(choice, at)

    def _choose(self, choice: dict[str, Any], at: float) -> None:
        part = choice.get("delta") or choice.get("message") or {}
        text = part.get("content") if isinstance(part, dict) else None
        if isinstance(text, str):
            self.text += text
        thought = isinstance(part, dict) and (part.get("reasoning_content") or part.get("reasoning"))
        if text or thought or (isinstance(part, dict) and (part.get("tool_calls") or part.get("refusal"))):
            self.first_at = at if self.first_at is None else self.first_at
            self.last_at = at
            self._pieces += 1
            self._thought = self._thought or bool(thought)
        self.finish = choice.get("finish_reason") or self.finish

    def _count(self, usage: Any) -> None:
        if not isinstance(usage, dict) or not isinstance(usage.get("completion_tokens"), int):
            return
        self._usage = max(0, usage["completion_tokens"])
        details = usage.get("completion_tokens_details")
        hidden = details.get("reasoning_tokens") if isinstance(details, dict) else None
        self._hidden = min(self._usage, hidden) if isinstance(hidden, int) and not self._thought else 0
