"""Structured logs: one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Any, Final

#: What the task at hand is about; tasks that it starts inherit it.
_subject: ContextVar[tuple[str, str] | None] = ContextVar("subject", default=None)

#: Fields that callers may add by `extra`.
_FIELDS: Final = ("namespace", "service", "release", "reason")


def about(namespace: str, service: str) -> None:
    """From now on, what this task logs is about that service."""
    _subject.set((namespace, service))


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON with time, level, logger, message, and what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        out: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        subject = _subject.get()
        if subject is not None:
            out["namespace"], out["service"] = subject
        # The framework names its object in a field of its own.
        reference = getattr(record, "k8s_ref", None) or {}
        if isinstance(reference, dict) and reference.get("name"):
            out["namespace"], out["service"] = reference.get("namespace"), reference["name"]
        for field in _FIELDS:
            value = getattr(record, field, None)
            if value:
                out[field] = value
        if record.exc_info:
            out["exception"] = self.formatException(record.exc_info)
        return json.dumps(out, ensure_ascii=False, default=str)


def configure(level: str, *, text: bool = False, stream: IO[str] | None = None) -> None:
    """Log to `stream`, or to standard error: JSON, or text for people at a terminal."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s") if text else JsonFormatter()
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # What these say at INFO concerns their own workings.
    for chatty in ("kopf", "asyncio", "aiohttp.access", "httpx", "httpcore", "kubernetes"):
        logging.getLogger(chatty).setLevel(max(logging.getLogger().level, logging.WARNING))
