"""Words of providers, fit to be shown: short, on one line, and without keys."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_LONGEST: Final = 300
_HIDDEN: Final = "***"
#: A provider can repeat a part of the key: so much of it in a row is hidden.
_PART: Final = 6
#: What else looks like a key, as a gateway's own one for the model behind it.
_KEYS: Final = re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf)[-_][\w*.-]{4,}|\bBearer\s+\S+", re.IGNORECASE)


def shown(words: str, api_key: str | None, longest: int = _LONGEST) -> str:
    """The words, to be read by anybody."""
    # Hidden before it is cut: a cut could leave less of a key than is recognised.
    text = _KEYS.sub(_HIDDEN, _without(" ".join(words[: 20 * longest].split()), api_key))
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def error_in(parsed: Any) -> str | None:
    """What an answer in JSON says is wrong; None when it says nothing of that kind."""
    if not isinstance(parsed, dict):
        return None
    error = parsed.get("error")
    if isinstance(error, dict):
        return next((str(error[k]) for k in ("message", "code", "type") if error.get(k)), "an error without words")
    if isinstance(error, str) and error:
        return error
    if error or parsed.get("object") == "error":
        return str(parsed.get("message") or "an error without words")
    return None


def message_in(body: bytes) -> str | None:
    """What the body of an answer other than 200 says is wrong. Only JSON is looked at: a page can hold anything."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    said = error_in(parsed)
    if said is None and isinstance(parsed, dict):
        said = next((v for k in ("message", "detail") if isinstance(v := parsed.get(k), str) and v), None)
    return said


def _without(text: str, key: str | None) -> str:
    if not key:
        return text
    size = min(_PART, len(key))
    parts = {key[i : i + size] for i in range(len(key) - size + 1)}
    hidden = [False] * len(text)
    for at in range(len(text) - size + 1):
        if text[at : at + size] in parts:
            hidden[at : at + size] = [True] * size
    out = list[str]()
    for at, char in enumerate(text):
        if not hidden[at]:
            out.append(char)
        elif at == 0 or not hidden[at - 1]:
            out.append(_HIDDEN)
    return "".join(out)
