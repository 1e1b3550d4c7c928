"""Acts of recovery on a tier: which namespace goes, beside whose flush, and what a crash makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.cache_flush import Flush
from sophia_operator.api.cache_tier_status import CacheTierStatus, FlushPhase, FlushStatus, NamespaceStatus
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.api.recovery_parameters import Parameters
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.cache.acts import ActsPlan, cheapest, flush_name, kept_flushes, plan_acts, with_wishes
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import NodeCommandResult, NodeVerb
from sophia_operator.core.cache.table import Table, TableFinding
from sophia_operator.core.cache.views import Kept, TierObserved
from sophia_operator.core.recovery.views import ActRequest
from tests.support.cache_work_scene import at, node, observed, spec, tier

_POSTGRESQL = {"poolRef": {"name": "orders"}}
FLUSH = {"name": "mine", "namespaceName": "images"}


def request(action: Action = Action.FLUSH_NAMESPACE, **parameters: Any) -> ActRequest:
    return ActRequest("act", "uid-1", action, Parameters.model_validate(parameters), at(0), may_begin=True)


def seen(wanted: ActRequest | None = None, kept: Kept | None = None) -> TierObserved:
    made = observed(kept, found=node())
    return replace(made, acts=(wanted,) if wanted is not None else ())


def namespace(name: str, megabytes: int, ratio: int | None = None) -> NamespaceStatus:
    return NamespaceStatus(name=name, used_bytes=megabytes * 1024 * 1024, hit_ratio_percent=ratio)


def status(*acts: ActStatus, scanned: float | None = 0, **changes: Any) -> CacheTierStatus:
    found = [namespace("images", 10), namespace("texts", 4)]
    made = CacheTierStatus(primary="n-0", scanned_at=at(scanned) if scanned is not None else None, namespaces=found)
    return made.model_copy(update={"acts": list(acts), **changes})


def plan(before: CacheTierStatus, observed: TierObserved, when: float = 1, **changes: Any) -> ActsPlan:
    return plan_acts(tier(spec(**changes), before), observed, at(when))


def only(found: ActsPlan) -> ActStatus:
    (act,) = found.acts
    return act


def test_cheapest_gives_most_for_the_reads_that_it_answers() -> None:
    big_and_good = status(namespaces=[namespace("images", 100, 99), namespace("texts", 10, 20)])
    chosen = cheapest(spec(), big_and_good)
    assert chosen is not None
    assert chosen[0] == "texts"
    assert "answers 20 % of its reads" in chosen[1]
    assert cheapest(spec(), status(namespaces=[namespace("images", 0)])) is None


def test_flush_of_an_act_is_a_flush_of_its_own_name() -> None:
    found = plan(status(), seen(request(keysPerSecond=77)))
    act = only(found)
    assert (act.phase, act.subject) == (ActPhase.RUNNING, "namespace images")
    assert found.wish == Flush(name=flush_name(act), namespace_name="images", keys_per_second=77)
    assert with_wishes(tier(spec()), found).spec.flush == found.wish


def test_namespace_that_is_named_is_taken_and_one_that_is_not_there_refused() -> None:
    named = plan(status(scanned=None), seen(request(namespaceName="texts")))
    assert named.wish is not None
    assert named.wish.namespace_name == "texts"
    refused = only(plan(status(), seen(request(namespaceName="videos"))))
    assert (refused.phase, "there are: texts, images" in refused.message) == (ActPhase.REFUSED, True)


def test_choice_waits_for_a_scan_that_is_not_old() -> None:
    waits = plan(status(scanned=-600), seen(request()))
    assert (only(waits).subject, waits.wish, waits.scan) == (None, None, True)
    assert with_wishes(tier(spec()), waits).spec.scan.interval_seconds == 5
    chosen = plan(status(only(waits), scanned=3), seen(request()), 4)
    assert only(chosen).subject == "namespace images"
    nothing = status(only(waits), scanned=3, namespaces=[namespace("images", 0)])
    assert only(plan(nothing, seen(request()), 4)).phase is ActPhase.REFUSED


def test_choice_waits_for_a_scan_that_knows_what_fills_the_memory() -> None:
    filled = replace(observed(found=node(keys=10_000)), acts=(request(),))
    for before, after, waits in ((350, 350, True), (350, 9_000, False), (30_000, 9_000, False)):
        begun = plan(status(keys=before), filled)
        assert (only(begun).subject, begun.wish, begun.scan) == (None, None, True), before
        then = plan(status(only(begun), scanned=3, keys=after), filled, 4)
        assert (only(then).phase, only(then).subject is None, then.scan) == (ActPhase.RUNNING, waits, waits)
    assert only(plan(status(keys=9_000), filled)).subject == "namespace images"


@pytest.mark.parametrize(("there", "subject"), [(10_000, None), (400, "namespace images")])
def test_choice_in_a_table_goes_by_the_rows_that_are_there(there: int, subject: str | None) -> None:
    level: dict[str, Any] = {"level": "PostgreSQL", "redis": None, "warmUp": None, "postgresql": _POSTGRESQL}
    table = TableFinding(at(0), Table(1, there, 1, 0, True))
    found = TierObserved(kept=Kept(table=table), acts=(request(),))
    assert only(plan(status(keys=350, primary=None), found, **level)).subject == subject


def over(phase: FlushPhase, name: str = "recovery-uid-1") -> FlushStatus:
    return FlushStatus(name=name, what="x", phase=phase, deleted=5, scanned=9, message="why", started_at=at(1))


@pytest.mark.parametrize(
    ("phase", "wanted"),
    [
        (FlushPhase.DONE, ActPhase.DONE),
        (FlushPhase.STOPPED, ActPhase.FAILED),
        (FlushPhase.REFUSED, ActPhase.REFUSED),
    ],
)
def test_act_ends_as_its_flush_does(phase: FlushPhase, wanted: ActPhase) -> None:
    begun = only(plan(status(), seen(request())))
    ended = plan(status(begun, flushes=[over(phase)]), seen(request()), 9)
    assert (only(ended).phase, ended.wish) == (wanted, None)
    assert only(ended).did == ["flushed namespace images: 5 keys deleted, of 9 looked at"]


def test_act_that_is_over_is_not_begun_again() -> None:
    begun = only(plan(status(), seen(request())))
    ended = only(plan(status(begun, flushes=[over(FlushPhase.DONE)]), seen(request()), 9))
    after = plan(status(ended, flushes=[over(FlushPhase.DONE)]), seen(request()), 10)
    assert (only(after), after.wish) == (ended, None)


def test_flush_of_the_spec_goes_first_and_none_disturbs_the_other() -> None:
    waits = plan(status(), seen(request()), flush=FLUSH)
    assert (waits.wish, "waits for flush mine" in only(waits).message) == (None, True)
    done = plan(status(only(waits), flushes=[over(FlushPhase.DONE, "mine")]), seen(request()), 3, flush=FLUSH)
    assert done.wish is not None
    going = FlushStatus(name="recovery-uid-1", what="x", phase=FlushPhase.RUNNING, started_at=at(1))
    goes_on = plan(status(only(done), flush=going), seen(request()), 4, flush=FLUSH)
    assert goes_on.wish is not None


def test_flush_of_the_spec_is_never_forgotten_and_so_never_done_again() -> None:
    others = [over(FlushPhase.DONE, f"recovery-{n}") for n in range(10)]
    mine = over(FlushPhase.DONE, "mine")
    kept = kept_flushes(others, [mine, *others[:9]], Flush.model_validate(FLUSH))
    assert [f.name for f in kept] == ["mine", *(f"recovery-{n}" for n in range(1, 10))]
    assert kept_flushes(others, [mine], None) == others


def test_memory_is_purged_at_every_node_that_answers() -> None:
    asked = request(Action.PURGE_MEMORY)
    begun = plan(status(), seen(asked))
    (command,) = begun.commands
    assert command.verb is NodeVerb.PURGE_MEMORY
    key = (command.node, NodeVerb.PURGE_MEMORY.value)
    before = status(only(begun))
    stale = plan(before, seen(asked, Kept(commands={key: NodeCommandResult(at(0))})), 2)
    assert len(stale.commands) == 1
    done = plan(before, seen(asked, Kept(commands={key: NodeCommandResult(at(2))})), 3)
    assert (only(done).phase, only(done).did) == (ActPhase.DONE, [f"MEMORY PURGE at {command.node}"])
    refused = NodeCommandResult(at(2), CacheFailure(CacheFault.OTHER, "no permission"))
    failed = plan(before, seen(asked, Kept(commands={key: refused})), 3)
    assert (only(failed).phase, "no permission" in only(failed).message) == (ActPhase.FAILED, True)


@pytest.mark.parametrize("action", [Action.FLUSH_NAMESPACE, Action.PURGE_MEMORY])
def test_memory_of_clients_is_nobodys_to_free(action: Action) -> None:
    level: dict[str, Any] = {"level": "Memory", "redis": None, "memory": {}, "warmUp": None}
    assert only(plan(status(), seen(request(action)), **level)).phase is ActPhase.REFUSED
