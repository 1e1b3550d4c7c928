"""What was last heard of a service and its releases."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sophia_operator.cli.objects import parse_release, parse_service
from sophia_operator.cli.session import CliError, Current, Exit, News, Object, Trouble
from sophia_operator.core.situation import Situation, situate

_SERVICES: Final = "managedservices"


@dataclass(frozen=True, slots=True)
class _Outage:
    """A watch that is broken."""

    message: str
    #: On the monotonic clock.
    since: float


class Board:
    """The objects as they are, as far as the watches told."""

    def __init__(self, service: Object, releases: Iterable[Object]) -> None:
        self.service = service
        self._releases = {str(r["metadata"]["name"]): r for r in releases}
        self._outages: dict[str, _Outage] = {}

    def take(self, news: News) -> None:
        """Note one news. CliError when the service is gone."""
        if isinstance(news, Trouble):
            before = self._outages.get(news.kind)
            self._outages[news.kind] = _Outage(news.message, before.since if before else time.monotonic())
            return
        self._outages.pop(news.kind, None)
        if isinstance(news, Current):
            return
        if news.kind == _SERVICES:
            if news.obj is None:
                raise CliError(f"{self.service['metadata']['name']} was deleted", Exit.BAD)
            self.service = news.obj
        elif news.obj is None:
            self._releases.pop(news.name, None)
        else:
            self._releases[news.name] = news.obj

    @property
    def releases(self) -> list[Object]:
        """By name, as the API server lists them."""
        return [self._releases[name] for name in sorted(self._releases)]

    @property
    def trouble(self) -> str | None:
        """Why what is here may be old; None when it is not."""
        return next((o.message for o in self._outages.values()), None)

    @property
    def silent_seconds(self) -> float:
        """For how long a watch has been broken."""
        return max((time.monotonic() - o.since for o in self._outages.values()), default=0.0)

    def look(self, now: datetime) -> Situation:
        """The parts that the releases play."""
        return situate(parse_service(self.service), [parse_release(r) for r in self.releases], now)

    def as_json(self, situation: Situation) -> dict[str, Any]:
        """The answer of `status` for programs."""
        return {"healthy": situation.is_healthy, "service": self.service, "releases": self.releases}
