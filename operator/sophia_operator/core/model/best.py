"""Whether the model that serves is the best, and what keeps a better one from serving."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from sophia_operator.api.conditions import Reason
from sophia_operator.api.model_route_status import BY_STAGES
from sophia_operator.core.model.verdicts import FALSE, TRUE, UNKNOWN, Sight, all_down, going_over
from sophia_operator.core.sayings import Saying
from sophia_operator.core.words import clock, count, span


def on_best_model(sight: Sight) -> Saying | None:
    """Whether the model that serves is the best, or as good as that."""
    status, pin = sight.status, sight.route.spec.pin
    if status.active is None:
        return Saying(UNKNOWN, Reason.NOT_CHECKED, "no model serves yet")
    if sight.unknown:
        return None
    if status.best is None:
        return Saying(FALSE, *all_down(sight))
    if pin is not None:
        others = f"; {status.best} ranks first" if status.best != status.active else ", which ranks first"
        held = status.active if status.active == pin else f"{pin}, and {status.active} serves until that does"
        message = f"a person chose {held}{others}; remove spec.pin to let the evidence decide"
        return Saying(TRUE if status.best == status.active == pin else FALSE, Reason.PINNED, message)
    if status.switch is not None and status.switch.kind in BY_STAGES:
        return Saying(FALSE, Reason.FAILING_BACK, going_over(sight))
    target = _target(sight)
    if target is not None:
        return _on_another(sight, status.active, target)
    if status.best == status.active:
        return Saying(TRUE, Reason.BEST_MODEL_SERVES, f"model {status.active} ranks first, and serves")
    margin = sight.route.spec.switch.margin_percent
    message = f"model {status.active} serves, and none scores more than it by {margin} points for long"
    return Saying(TRUE, Reason.BEST_MODEL_SERVES, message)


def _target(sight: Sight) -> str | None:
    """The model that traffic should go to, if that is another one than the one that serves."""
    status = sight.status
    best, left = (None if name == status.active else name for name in (status.best, status.preferred))
    if status.better_since is None:
        return best if best == left else None
    if best is not None and (best == left or _leads(sight, best)):
        return best
    row = sight.row(left)
    return left if row is not None and row.eligible else best


def _leads(sight: Sight, best: str) -> bool:
    ahead, behind = sight.row(best), sight.active
    if ahead is None or behind is None or ahead.score is None or behind.score is None:
        return False
    return 100 * (Decimal(ahead.score) - Decimal(behind.score)) >= sight.route.spec.switch.margin_percent


def _on_another(sight: Sight, active: str, target: str) -> Saying:
    """What keeps a better model from serving."""
    status, spec, now = sight.status, sight.route.spec, sight.now
    best = "ranks first" if target == status.best else "is as good as before it failed"
    ahead = f"{target} {best}, {active} serves"
    if status.switch is not None:
        return Saying(FALSE, Reason.SWITCHING, going_over(sight))
    due = _due_at(sight, target)
    if spec.dry_run:
        return Saying(FALSE, Reason.DRY_RUN, f"{ahead}: nothing moves while dryRun is true")
    if status.hold_until is not None and status.hold_until > now and (due is None or status.hold_until > due):
        failed = f" after {count(status.failed_failbacks, 'failback')} that failed" if status.failed_failbacks else ""
        return Saying(
            FALSE, Reason.ON_HOLD, f"{ahead}: no failback begins before {clock(status.hold_until, now)}{failed}"
        )
    if spec.failback.manual:
        if due is not None and due <= now:
            message = f"{ahead}: set spec.pin to {target} to move there, and remove it afterwards"
            return Saying(FALSE, Reason.FAILBACK_DUE, message)
        return Saying(FALSE, Reason.ON_FALLBACK, f"{ahead}: once it has been so for long enough, a person may move it")
    if due is None:
        fell = "it must lead, and be healthy,"
        if target == status.preferred:
            fell = f"traffic left {target}, and goes back once that has been the best, and healthy,"
        return Saying(FALSE, Reason.ON_FALLBACK, f"{ahead}: {fell} for {span(spec.failback.healthy_seconds)}")
    return Saying(FALSE, Reason.ON_FALLBACK, f"{ahead}: a failback begins at {clock(due, now)} if it stays so")


def _due_at(sight: Sight, target: str) -> datetime | None:
    """When the better one has been so, and healthy, for long enough; None while it is not."""
    status = sight.status
    row = sight.row(target)
    if status.better_since is None or row is None or row.healthy_since is None:
        return None
    since = max(status.better_since, row.healthy_since)
    return since + timedelta(seconds=sight.route.spec.failback.healthy_seconds)
