"""What every command shares: the global options, the connection, the clock, and how errors become exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Protocol

from rich.console import Console

Object = Mapping[str, Any]


class Exit(IntEnum):
    """Exit codes."""

    OK = 0
    #: The answer is bad, or there is nothing to do.
    BAD = 1
    #: Wrong usage, not found, or the API server refused or did not answer.
    ERROR = 2


class CliError(Exception):
    """Ends the command with a message and an exit code."""

    def __init__(self, message: str, code: Exit = Exit.ERROR) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class ChangedError(CliError):
    """Somebody else changed the object between our reading it and our change of it, which was not made."""


class NothingToDoError(CliError):
    """What was asked for makes no sense where things stand."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.BAD)


@dataclass(frozen=True, slots=True)
class Seen:
    """One news of a watch: an object as it is now, or None when it is gone."""

    kind: str
    name: str
    obj: Object | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """A watch broke off; it is tried again."""

    message: str
    #: What was watched.
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Current:
    """All that there is of a kind was told: from here on, the watch tells what changes."""

    kind: str


News = Seen | Current | Trouble


class Api(Protocol):
    """What commands need of the API server. Every call has a time limit; errors are CliError."""

    namespace: str

    def service(self, name: str) -> Object:
        """The ManagedService; CliError when it is not there."""

    def services(self, *, everywhere: bool) -> Sequence[Object]:
        """All ManagedServices of the namespace, or of the cluster."""

    def releases(self, service: str) -> Sequence[Object]:
        """All Releases of a service."""

    def pool(self, name: str) -> Object:
        """The ConnectionPool; CliError when it is not there."""

    def pools(self, *, everywhere: bool) -> Sequence[Object]:
        """All ConnectionPools of the namespace, or of the cluster."""

    def tier(self, name: str) -> Object:
        """The CacheTier; CliError when it is not there."""

    def tiers(self, *, everywhere: bool) -> Sequence[Object]:
        """All CacheTiers of the namespace, or of the cluster."""

    def patch_tier(self, name: str, operations: Sequence[Object]) -> None:
        """Patch a CacheTier by JSON Patch operations."""

    def route(self, name: str) -> Object:
        """The ModelRoute; CliError when it is not there."""

    def routes(self, *, everywhere: bool) -> Sequence[Object]:
        """All ModelRoutes of the namespace, or of the cluster."""

    def patch_route(self, name: str, operations: Sequence[Object]) -> None:
        """Patch a ModelRoute by JSON Patch operations."""

    def action(self, name: str) -> Object:
        """The RecoveryAction; CliError when it is not there."""

    def actions(self, *, everywhere: bool) -> Sequence[Object]:
        """All RecoveryActions of the namespace, or of the cluster."""

    def create_action(self, obj: Object) -> Object:
        """Create a RecoveryAction; it as the API server has it."""

    def patch_action(self, name: str, operations: Sequence[Object]) -> None:
        """Patch a RecoveryAction by JSON Patch operations."""

    def policy(self, name: str) -> Object:
        """The RecoveryPolicy; CliError when it is not there."""

    def policies(self, *, everywhere: bool) -> Sequence[Object]:
        """All RecoveryPolicies of the namespace, or of the cluster."""

    def patch_policy(self, name: str, operations: Sequence[Object]) -> None:
        """Patch a RecoveryPolicy by JSON Patch operations."""

    def patch_release(self, name: str, patch: Object) -> None:
        """Merge-patch a Release."""

    def patch_service(self, name: str, operations: Sequence[Object]) -> None:
        """Patch a ManagedService by JSON Patch operations."""

    def user(self) -> str:
        """Who the API server says we are."""

    def watch(self, service: str) -> Iterable[Iterator[News]]:
        """Endless streams of news about the service and its Releases, each to be read in a thread of its own."""


@dataclass
class Session:
    """One run of the command line. Tests give their own connection, clock and console."""

    connect: Callable[[Session], Api] = field(default_factory=lambda: connect)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=False))
    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    output: str = "text"

    @property
    def as_json(self) -> bool:
        """Whether JSON was asked for."""
        return self.output == "json"

    def api(self) -> Api:
        """A connection with the options given."""
        return self.connect(self)

    def print_json(self, value: Any) -> None:
        """Print JSON, as it is: never wrapped or coloured."""
        self.console.file.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")

    def print_json_line(self, value: Any) -> None:
        """Print JSON in one line, at once: somebody reads along."""
        self.console.file.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
        self.console.file.flush()

    def warn(self, text: str) -> None:
        """Say something that is no part of the answer."""
        print(text, file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Print a sentence or two; folded for a terminal, in one line for a file or a pipe."""
        self.console.print(text, markup=False, soft_wrap=not self.console.is_terminal)


def connect(session: Session) -> Api:
    """Connect by the kubeconfig. The Kubernetes client is loaded only here: it takes longer than most commands."""
    from sophia_operator.cli.kube import KubeApi  # noqa: PLC0415

    return KubeApi(kubeconfig=session.kubeconfig, context=session.context, namespace=session.namespace)
