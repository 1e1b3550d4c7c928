"""Who asked the API server for what: its audit log, checked against its own counters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.operator_process import Samples

COUNTER: Final = "apiserver_request_total"
#: What the operator calls itself: its own requests, and those of the framework inside it.
OPERATOR_AGENTS: Final = ("sophia-operator", "kopf/")
READS: Final = frozenset({"get", "list", "watch"})


@dataclass(frozen=True)
class Request:
    """One request that was answered. `what` is the resource, with its subresource after a slash."""

    agent: str
    verb: str
    what: str

    @property
    def by_operator(self) -> bool:
        """Whether the operator sent it."""
        return self.agent.startswith(OPERATOR_AGENTS)


class AuditLog:
    """The log from a place on. Requests that were answered are in it, watches once they end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def skip(self) -> None:
        """Leave out what is there by now."""
        self._offset = self._path.stat().st_size

    def read(self) -> list[Request]:
        """What came since the last `skip` or `read`."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return list(_requests(whole))


def _requests(content: bytes) -> Iterator[Request]:
    for line in content.splitlines():
        event: dict[str, Any] = json.loads(line)
        reference = event.get("objectRef")
        if event["stage"] != "ResponseComplete" or reference is None:
            continue
        sub = f"/{reference['subresource']}" if reference.get("subresource") else ""
        verb = event["verb"]
        # The log calls each kind of patch `patch`; the counter tells server-side apply apart, and so do we.
        if verb == "patch" and "fieldManager=" in event["requestURI"] and "force=true" in event["requestURI"]:
            verb = "apply"
            if "dryRun=All" in event["requestURI"]:
                verb = "dry-run"
        yield Request(event.get("userAgent", ""), verb, f"{reference['resource']}{sub}")


def by_verb(requests: list[Request]) -> dict[str, int]:
    """Requests by `verb resource`, sorted."""
    return dict(sorted(Counter(f"{r.verb} {r.what}" for r in requests).items()))


def counted(samples: Samples) -> dict[str, int]:
    """What the API server itself counted, by verb; dry runs as what they are."""
    totals: Counter[str] = Counter()
    for (verb, dry), value in samples.by(COUNTER, "verb", "dry_run").items():
        if value:
            totals["dry-run" if dry else verb.lower()] += int(value)
    return dict(sorted(totals.items()))
