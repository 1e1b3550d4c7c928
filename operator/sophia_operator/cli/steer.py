"""What a person's word means where things stand: which Release gets which intent. Pure; refusals say what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sophia_operator.api.release import Intent, Release, ReleaseState
from sophia_operator.cli.guard import unchanged
from sophia_operator.cli.restored import bindings_of, in_order
from sophia_operator.cli.session import CliError, NothingToDoError
from sophia_operator.core.situation import GOING, Situation, name_of

MAX_REASON: Final = 1024


@dataclass(frozen=True, slots=True)
class Order:
    """An intent to be set on a Release."""

    release: str
    intent: Intent
    #: What follows from it, for the person who asked.
    follows: str
    #: A question to be answered with yes first.
    ask: str | None = None


@dataclass(frozen=True, slots=True)
class Restore:
    """The template and ports of an old release, to be put into the ManagedService: a new rollout."""

    release: str
    operations: Sequence[Mapping[str, Any]]
    ask: str
    follows: str


def pause(s: Situation) -> Order:
    """Hold the rollout where it is."""
    release = _under_way(s, "pause")
    if release.spec.intent is Intent.PAUSE:
        raise NothingToDoError(f"{name_of(release)} is paused already: {release.spec.reason or 'no reason given'}")
    if release.status.state is ReleaseState.ROLLING_BACK:
        raise NothingToDoError(f"{name_of(release)} is being rolled back, which cannot be paused")
    if release.status.state is ReleaseState.PENDING:
        return Order(name_of(release), Intent.PAUSE, "it does not start")
    if release.status.state is not ReleaseState.SHIFTING:
        return Order(name_of(release), Intent.PAUSE, "it holds before it gets any traffic")
    return Order(name_of(release), Intent.PAUSE, "it keeps the share of the traffic that it has; gates are watched on")


def resume(s: Situation) -> Order:
    """Go on with what a person, or the operator itself, paused."""
    release = _under_way(s, "resume")
    if release.status.pause is None and release.spec.intent is not Intent.PAUSE:
        if s.service.spec.paused:
            raise NothingToDoError(
                f"{name_of(release)} is held by spec.paused of the ManagedService: unset it there (and in Git, if it "
                f"comes from there)"
            )
        raise NothingToDoError(f"{name_of(release)} is not paused")
    held = "; spec.paused of the ManagedService still holds it" if s.service.spec.paused else ""
    return Order(name_of(release), Intent.PROCEED, f"it goes on from where it is{held}")


def promote(s: Situation) -> Order:
    """Skip the stages that remain."""
    release = _under_way(s, "promote")
    if release.status.state is ReleaseState.ROLLING_BACK:
        raise NothingToDoError(f"{name_of(release)} is being rolled back; retry it when that is over")
    if release.spec.intent is Intent.PROMOTE:
        raise NothingToDoError(f"{name_of(release)} is being promoted already")
    return Order(
        name_of(release),
        Intent.PROMOTE,
        "once it is ready and smoke-tested it gets all traffic; gates do not stop it any more",
    )


def abort(s: Situation) -> Order:
    """Go back: from the rollout under way, or, when it was just promoted, to the release that is kept."""
    release = s.rollout
    if release is not None and release.status.state in GOING:
        stable = name_of(s.stable) if s.stable is not None else None
        follows = f"all traffic goes to {stable} at once" if stable else "nothing serves that it could go back to"
        return Order(name_of(release), Intent.ABORT, follows)
    if release is not None and release.status.state is ReleaseState.ROLLING_BACK:
        raise NothingToDoError(f"{name_of(release)} is being rolled back already")
    if release is not None:
        # Whoever aborts twice must not lose the stable release as well.
        raise NothingToDoError(
            f"{name_of(release)} is over already ({release.status.state.value}). To go back from "
            f"{name_of(s.stable) if s.stable else 'what serves'} too: kubectl sophia rollback {s.name}"
        )
    return _to_kept(s)


def retry(s: Situation) -> Order:
    """Start a failed release again."""
    release = s.rollout
    if release is None or not release.status.state.is_latched:
        raise NothingToDoError(f"no failed release of {s.name} stands to be retried")
    return Order(name_of(release), Intent.RETRY, "it starts again from the beginning")


def rollback(s: Situation, to: int | None) -> Order | Restore:
    """Go back to the kept release, or roll an older one out again."""
    if to is None:
        if s.rollout is not None and s.rollout.status.state in GOING:
            return abort(s)
        order = _to_kept(s)
        if s.rollout is None:
            return order
        ask = f"{name_of(s.rollout)} is over already. Also go back from {order.release}?"
        return Order(order.release, order.intent, order.follows, ask)
    wanted = next((r for r in s.releases if r.spec.revision == to), None)
    if wanted is None:
        there = ", ".join(str(r.spec.revision) for r in s.releases) or "none"
        raise CliError(f"{s.name} has no release {to} any more; there are: {there}")
    if wanted is s.stable:
        if s.rollout is not None and s.rollout.status.state in GOING:
            return abort(s)
        raise NothingToDoError(f"{name_of(wanted)} serves already")
    if wanted is s.previous:
        return _to_kept(s)
    if wanted is s.rollout and wanted.status.state in GOING:
        raise NothingToDoError(f"{name_of(wanted)} is being rolled out already")
    if wanted.status.state.is_latched:
        raise NothingToDoError(
            f"{name_of(wanted)} failed and does not start again by itself"
            + (f": kubectl sophia retry {s.name}" if wanted is s.rollout else "; change the spec instead")
        )
    return _restore(s, wanted)


def intent_patch(order: Order, reason: str | None, who: str, now: datetime) -> dict[str, Any]:
    """The merge patch. Who and when are part of the reason, so that each order changes the object's generation."""
    return {"spec": {"intent": order.intent.value, "reason": said_by(reason, who, now)}}


def said_by(reason: str | None, who: str, now: datetime) -> str:
    """A reason, with who gave it and when; at most MAX_REASON characters."""
    stamp = f" [{who}, {now:%Y-%m-%dT%H:%M:%SZ}]"
    return (reason or "no reason given")[: MAX_REASON - len(stamp)] + stamp


def gitops_owner(service: Mapping[str, Any]) -> str | None:
    """Who keeps the object as it is in Git: a change by hand lasts only until its next look."""
    metadata = service.get("metadata", {})
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    if any(key.startswith("argocd.argoproj.io/") for key in marks):
        return "Argo CD"
    if any(key.split("/")[0].endswith("toolkit.fluxcd.io") for key in marks):
        return "Flux"
    managers = {str(field.get("manager", "")) for field in metadata.get("managedFields") or ()}
    if any(manager.startswith("argocd") for manager in managers):
        return "Argo CD"
    return "Flux" if managers & {"kustomize-controller", "helm-controller"} else None


def _under_way(s: Situation, verb: str) -> Release:
    release = s.rollout
    if release is None:
        raise NothingToDoError(f"no rollout of {s.name} is under way: nothing to {verb}")
    if release.status.state.is_latched:
        raise NothingToDoError(
            f"{name_of(release)} is over already ({release.status.state.value}): nothing to {verb}. "
            f"To start it again: kubectl sophia retry {s.name}"
        )
    return release


def _to_kept(s: Situation) -> Order:
    if s.stable is None or s.previous is None:
        older = [str(r.spec.revision) for r in s.releases if r is not s.stable and r.status.promoted_at is not None]
        more = f"; kubectl sophia rollback {s.name} --to N rolls one of {', '.join(older)} out again" if older else ""
        raise NothingToDoError(f"no rollout of {s.name} is under way, and no earlier release is kept{more}")
    return Order(name_of(s.stable), Intent.ABORT, f"all traffic goes back to {name_of(s.previous)} at once")


def _restore(s: Situation, wanted: Release) -> Restore:
    snapshot = wanted.spec.snapshot
    operations: list[dict[str, Any]] = [
        unchanged(s.service.metadata),
        {"op": "replace", "path": "/spec/template", "value": snapshot.template},
        {"op": "replace", "path": "/spec/ports", "value": [p.to_dict() for p in snapshot.ports]},
    ]
    bindings, parts = bindings_of(snapshot.bindings), "template and ports"
    if bindings != in_order(s.service.spec.bindings):
        # Also replaces what is there.
        operations.append({"op": "add", "path": "/spec/bindings", "value": bindings.to_dict()})
        parts = "template, ports and bindings"
    config = ", ".join(f"{c.kind.value} {c.name}" for c in snapshot.config)
    stays = f" Configuration stays as it is now ({config})." if config else ""
    return Restore(
        name_of(wanted),
        operations,
        ask=f"Put the {parts} of {name_of(wanted)} into ManagedService {s.name}?{stays}",
        follows=f"a new release with the template of {name_of(wanted)} rolls out, stage by stage",
    )
