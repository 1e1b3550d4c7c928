"""A command line over a recorded cluster."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from sophia_operator.cli.app import app
from sophia_operator.cli.session import ChangedError, CliError, News, Object, Session
from tests.support.objects import NAMESPACE, NOW


@dataclass
class RecordedApi:
    """Answers from what was recorded, and records what was written."""

    recorded: Sequence[Object] = ()
    namespace: str = NAMESPACE
    patches: list[tuple[str, Any]] = field(default_factory=list)
    news: Sequence[Iterator[News]] = ()
    #: What somebody else makes of a route just before we change it, one each time.
    races: Sequence[Object] = ()

    def _of(self, kind: str) -> list[Object]:
        return [o for o in self.recorded if o["kind"] == kind]

    def service(self, name: str) -> Object:
        for found in self._of("ManagedService"):
            if found["metadata"]["name"] == name:
                return found
        raise CliError(f"ManagedService {self.namespace}/{name}: not found")

    def services(self, *, everywhere: bool) -> Sequence[Object]:
        return [o for o in self._of("ManagedService") if everywhere or o["metadata"]["namespace"] == self.namespace]

    def releases(self, service: str) -> Sequence[Object]:
        return [o for o in self._of("Release") if o["spec"]["serviceName"] == service]

    def pool(self, name: str) -> Object:
        for found in self._of("ConnectionPool"):
            if found["metadata"]["name"] == name:
                return found
        raise CliError(f"ConnectionPool {self.namespace}/{name}: not found")

    def pools(self, *, everywhere: bool) -> Sequence[Object]:
        return [o for o in self._of("ConnectionPool") if everywhere or o["metadata"]["namespace"] == self.namespace]

    def tier(self, name: str) -> Object:
        for found in self._of("CacheTier"):
            if found["metadata"]["name"] == name:
                return found
        raise CliError(f"CacheTier {self.namespace}/{name}: not found")

    def tiers(self, *, everywhere: bool) -> Sequence[Object]:
        return [o for o in self._of("CacheTier") if everywhere or o["metadata"]["namespace"] == self.namespace]

    def patch_tier(self, name: str, operations: Sequence[Object]) -> None:
        self.patches.append((name, list(operations)))

    def route(self, name: str) -> Object:
        for found in self._of("ModelRoute"):
            if found["metadata"]["name"] == name:
                return found
        raise CliError(f"ModelRoute {self.namespace}/{name}: not found")

    def routes(self, *, everywhere: bool) -> Sequence[Object]:
        return [o for o in self._of("ModelRoute") if everywhere or o["metadata"]["namespace"] == self.namespace]

    def patch_route(self, name: str, operations: Sequence[Object]) -> None:
        if self.races:
            made, *self.races = self.races
            self.recorded = [made if o["metadata"]["name"] == name else o for o in self.recorded]
            raise ChangedError(f"ModelRoute {name} was changed by somebody else meanwhile: run the command again")
        self.patches.append((name, list(operations)))

    def action(self, name: str) -> Object:
        for found in self._of("RecoveryAction"):
            if found["metadata"]["name"] == name:
                return found
        raise CliError(f"RecoveryAction {self.namespace}/{name}: not found")

    def actions(self, *, everywhere: bool) -> Sequence[Object]:
        return [o for o in self._of("RecoveryAction") if everywhere or o["metadata"]["namespace"] == self.namespace]

    def create_action(self, obj: Object) -> Object:
        self.patches.append((obj["metadata"]["name"], obj))
        return obj

    def patch_action(self, name: str, operations: Sequence[Object]) -> None:
        self.patches.append((name, list(operations)))

    def policy(self, name: str) -> Object:
        for found in self._of("RecoveryPolicy"):
            if found["metadata"]["name"] == name:
                return found
        raise CliError(f"RecoveryPolicy {self.namespace}/{name}: not found")

    def policies(self, *, everywhere: bool) -> Sequence[Object]:
        return [o for o in self._of("RecoveryPolicy") if everywhere or o["metadata"]["namespace"] == self.namespace]

    def patch_policy(self, name: str, operations: Sequence[Object]) -> None:
        self.patches.append((name, list(operations)))

    def patch_release(self, name: str, patch: Object) -> None:
        self.patches.append((name, patch))

    def patch_service(self, name: str, operations: Sequence[Object]) -> None:
        self.patches.append((name, list(operations)))

    def user(self) -> str:
        return "alice"

    def watch(self, service: str) -> Sequence[Iterator[News]]:
        return self.news if self.service(service) else ()


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str
    patches: list[tuple[str, Any]]


Run = Callable[..., Ran]


@pytest.fixture
def run() -> Run:
    """Run a command line over recorded objects: `run("status", "hello", objects=[...])`."""

    def run(
        *arguments: str,
        objects: Sequence[Object] = (),
        stdin: str | None = None,
        news: Sequence[Iterator[News]] = (),
        terminal: bool = False,
        width: int = 110,
        races: Sequence[Object] = (),
    ) -> Ran:
        api = RecordedApi(objects, news=news, races=races)
        seen: list[Session] = []

        def connect(session: Session) -> RecordedApi:
            seen.append(session)
            api.namespace = session.namespace or NAMESPACE
            return api

        text = io.StringIO()
        console = Console(
            file=text, width=width, height=60, highlight=False, force_terminal=terminal, color_system=None
        )
        session = Session(connect=connect, now=lambda: NOW, console=console)
        result = CliRunner().invoke(app, list(arguments), obj=session, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout + text.getvalue(), result.stderr, api.patches)

    return run


@pytest.fixture
def hanging() -> Iterator[Callable[[Sequence[News]], Iterator[News]]]:
    """Make a stream that gives its news and then waits, as a watch does, until the test is over."""
    over = threading.Event()

    def stream(news: Sequence[News]) -> Iterator[News]:
        yield from news
        over.wait(30)

    yield stream
    over.set()
