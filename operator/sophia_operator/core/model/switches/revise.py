"""What the gateway is told, under a number of its own, and whether replicas take too long to follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sophia_operator.api.model_route_status import SwitchPhase, SwitchStatus
from sophia_operator.core.model.plan_values import SwitchPlan
from sophia_operator.core.model.replicas import none_to_ask
from sophia_operator.core.model.switches import record, waits
from sophia_operator.core.model.switches.draft import Draft, in_phase
from sophia_operator.core.model.switches.fallbacks import fallbacks, kept
from sophia_operator.core.model.switches.proof import Proof, highest, prove
from sophia_operator.core.model.switches.scene import Scene
from sophia_operator.core.model.switches.standing import Standing, shares, told_shares
from sophia_operator.core.model.told import told_hash


def seen(scene: Scene, here: Standing) -> Proof:
    """What was seen of what the gateway is to be told now: of something else nothing counts."""
    config_hash = told_hash(scene.spec, here.shares, kept(scene, here.active))
    if is_told(scene, here.shares, config_hash):
        return prove(scene, here.shares)
    return Proof(proved=False)


def is_told(scene: Scene, wanted: Mapping[str, int], config_hash: str) -> bool:
    """Whether the gateway is told that by the revision in the status."""
    same = scene.status.config_hash == config_hash
    return same and dict(wanted) == dict(told_shares(scene)) and scene.status.revision > 0


def with_revision(scene: Scene, proof: Proof, draft: Draft) -> SwitchPlan:
    """The plan, with a new revision if the gateway is told something else by it."""
    status, told = scene.status, shares(draft.active, draft.switch)
    after = _fallbacks(scene, draft)
    config_hash = told_hash(scene.spec, told, after) if told else None
    anew = config_hash is not None and not is_told(scene, told, config_hash)
    revision = highest(scene) + 1 if anew else status.revision
    revision_at = scene.now if anew else status.revision_at
    if proof.proved and not anew:
        proved_revision = revision
    else:
        proved_revision = status.proved_revision if status.proved_revision <= status.revision else 0
    switch, overdue = _waiting(scene, draft.switch, anew, revision, proof)
    lagging = () if anew else _lagging(scene, switch, proof, proved_revision < revision)
    notices = [*draft.notices, *record.all_down(scene, draft.active)]
    waits_quietly = switch is not None and not switch.overdue and proved_revision < revision
    # Without any replica to ask, the conditions speak of that: what is known of those before is no news at each pass.
    lags = bool(lagging) and none_to_ask(scene.spec.gateway, scene.observed) is None
    if overdue or (lags and not waits_quietly and not record.was_lagging(scene)):
        notices.append(record.lags(revision, lagging))
    plan = SwitchPlan(
        active=draft.active,
        preferred=draft.preferred,
        shares=told,
        fallbacks=after,
        revision=revision,
        proved_revision=proved_revision,
        revision_at=revision_at,
        switch=switch,
        past=draft.past,
        switched_at=draft.switched_at,
        failed_failbacks=draft.failed_failbacks,
        hold_until=draft.hold_until,
        better_since=draft.candidate.since if draft.candidate is not None else None,
        told=draft.told,
        config_hash=config_hash,
        lagging=lagging,
        notices=tuple(notices),
    )
    return replace(plan, wait=waits.wait(scene, plan))


def _fallbacks(scene: Scene, draft: Draft) -> tuple[str, ...]:
    """Each other order has to be proved at every replica, so it stays while a switch is, and in a dry run."""
    if draft.active is None:
        return ()
    if draft.moved:
        return fallbacks(scene, draft.active)
    if draft.switch is not None or scene.spec.dry_run:
        return kept(scene, draft.active)
    return fallbacks(scene, draft.active, before=scene.status.fallbacks)


def _waiting(
    scene: Scene, switch: SwitchStatus | None, anew: bool, revision: int, proof: Proof
) -> tuple[SwitchStatus | None, bool]:
    """The switch with the revision that it waits for, and whether that takes too long from now on."""
    if switch is None:
        return None, False
    if anew:
        return in_phase(scene, switch, SwitchPhase.PROVING, revision=revision), False
    late = scene.since(switch.phase_since) >= scene.spec.switch.prove_seconds
    overdue = switch.phase is SwitchPhase.PROVING and late and not proof.proved
    after = switch.model_copy(update={"revision": revision, "overdue": switch.overdue or overdue})
    return after, overdue and not switch.overdue


def _lagging(scene: Scene, switch: SwitchStatus | None, proof: Proof, unproved: bool) -> tuple[str, ...]:
    """Replicas to be named. In calm one that gives no answer proves nothing: the model may have failed just then."""
    if not unproved:
        return proof.behind
    since = scene.status.revision_at or scene.route.created_at
    if switch is not None or scene.since(since) >= scene.spec.switch.prove_seconds:
        return proof.late
    return ()
