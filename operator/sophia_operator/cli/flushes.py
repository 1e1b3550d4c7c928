"""Flushes that people ask for with `kubectl sophia cache flush`: what is written into the CacheTier. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from sophia_operator.api.cache_flush import Flush, FlushKind
from sophia_operator.api.cache_tier import CacheTier, CacheTierSpec
from sophia_operator.cli.guard import unchanged
from sophia_operator.cli.session import CliError, NothingToDoError

_SCOPES: Final = {
    "namespaceName": "--namespace-name",
    "tag": "--tag",
    "pattern": "--pattern",
    "generation": "--generation",
    "flushAll": "--flush-all",
}


@dataclass(frozen=True, slots=True)
class FlushOrder:
    """What is to be written, and said."""

    operations: Sequence[Mapping[str, Any]]
    name: str
    follows: str
    #: A question to be answered with yes first.
    ask: str | None = None


def begin(
    tier: CacheTier,
    now: datetime,
    *,
    scope: Mapping[str, str | None],
    instant: bool,
    rate: int | None,
    name: str | None,
) -> FlushOrder:
    """A flush. `scope` has, by the field of the spec, what was asked for; exactly one of them is."""
    given = {field: value for field, value in scope.items() if value is not None}
    if len(given) != 1:
        raise CliError(f"name exactly one of {', '.join(_SCOPES.values())}")
    (field,) = given
    tier_name = str(tier.metadata.get("name", ""))
    if field == "flushAll" and given[field] != tier_name:
        raise CliError(f"--flush-all takes away everything in {tier_name}: give it the name of the tier, to be sure")
    running = tier.status.flush
    if running is not None:
        raise NothingToDoError(
            f"flush {running.name} of {tier_name} is {running.phase.value.lower()}: wait until it is done, or stop it "
            f"with kubectl sophia cache flush {tier_name} --stop"
        )
    wish: dict[str, Any] = {"name": name or f"flush-{now:%Y%m%d-%H%M%S}", **given}
    if instant:
        wish["kind"] = FlushKind.GENERATION.value
    if rate is not None:
        wish["keysPerSecond"] = rate
    flush = _checked(tier, wish)
    if flush.name in {past.name for past in tier.status.flushes}:
        raise NothingToDoError(f"{tier_name} had a flush of the name {flush.name}, and each is done once: name another")
    how = "at once, by a new generation" if instant else f"{flush.keys_per_second} keys a second at most"
    held = "; the tier is paused, so nothing is deleted until it is not any more" if tier.spec.paused else ""
    what = _words(field, given[field])
    ask = f"Delete {what} of CacheTier {tier_name}?" if field == "flushAll" else None
    return FlushOrder(_operations(tier, wish), flush.name, f"{what} is flushed, {how}{held}", ask)


def stop(tier: CacheTier) -> FlushOrder:
    """Stop the flush that is under way."""
    tier_name, wish = str(tier.metadata.get("name", "")), tier.spec.flush
    ended = {past.name for past in tier.status.flushes}
    if wish is None or wish.name in ended:
        raise NothingToDoError(f"no flush of {tier_name} is under way")
    if wish.stop:
        raise NothingToDoError(f"flush {wish.name} of {tier_name} is being stopped already")
    operations = _operations(tier, {**wish.to_dict(), "stop": True})
    return FlushOrder(operations, wish.name, "it stops where it is; what is deleted stays deleted")


def _checked(tier: CacheTier, wish: Mapping[str, Any]) -> Flush:
    """The flush as the API takes it, in this tier."""
    try:
        flush = Flush.model_validate(wish)
        CacheTierSpec.model_validate({**tier.spec.to_dict(), "flush": dict(wish)})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function-"))
        option = _SCOPES.get(where.rpartition(".")[2], where)
        words = str(first["msg"]).removeprefix("Value error, ")
        raise CliError(f"{option}: {words}" if option else words) from error
    return flush


def _operations(tier: CacheTier, wish: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        unchanged(tier.metadata),
        # Also replaces what is there.
        {"op": "add", "path": "/spec/flush", "value": dict(wish)},
    ]


def _words(field: str, value: str) -> str:
    return {
        "namespaceName": f"namespace {value}",
        "tag": f"all with tag {value}",
        "pattern": f"all that matches {value}",
        "generation": f"generation {value}",
        "flushAll": "everything, keys of no namespace too,",
    }[field]
