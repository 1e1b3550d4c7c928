"""What each condition of a pool says, from what is seen. Without anything seen, None: it stays what it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason, find
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus, ReconnectPhase, ReconnectStatus
from sophia_operator.core.latencies import SLOW_IS_OVER
from sophia_operator.core.pool import roles
from sophia_operator.core.pool.budget import has_room, is_within
from sophia_operator.core.pool.faults import explain
from sophia_operator.core.pool.findings import Console, Failure, Fault, InstanceFinding, Through
from sophia_operator.core.pool.sight import console_of, failure_of, finding_of, server_of, serving
from sophia_operator.core.pool.views import InstanceView, PoolObserved, PoolView
from sophia_operator.core.sayings import Saying
from sophia_operator.core.words import count

#: Clients that wait longer are told of.
LONG_WAIT_SECONDS: Final = 5.0
#: That clients wait, or that a standby trails behind, is said for so long at least.
CALM_SECONDS: Final = 300.0
TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


@dataclass(frozen=True, slots=True)
class Sight:
    """A pool, what is seen of it, and the status that is being made of that."""

    pool: PoolView
    observed: PoolObserved
    status: ConnectionPoolStatus
    now: datetime


def healthy(sight: Sight) -> Saying | None:
    """Whether the server and every instance are as they should be."""
    return _server_health(sight) or _role_health(sight) or _instance_health(sight)


def _role_health(sight: Sight) -> Saying | None:
    """An instance may know of a wrong role a moment before the server was looked at: nobody is healthy then."""
    role = role_correct(sight)
    return role if role is not None and role.status is FALSE else None


def _server_health(sight: Sight) -> Saying | None:
    spec, failure = sight.pool.spec, failure_of(sight.observed)
    if sight.status.reconnect is not None:
        return Saying(FALSE, *reconnecting(sight, sight.status.reconnect))
    if failure is not None:
        return Saying(FALSE, *explain(spec, failure))
    server = server_of(sight.observed)
    wrong = roles.server_fault(spec, server) if server is not None else None
    if wrong is None and _lingers(sight, Reason.REPLICATION_LAG):
        return _before(sight)
    return Saying(FALSE, *wrong) if wrong is not None else None


def _before(sight: Sight) -> Saying | None:
    """What was said of the health."""
    found = find(sight.pool.status.conditions, ConditionType.HEALTHY)
    return None if found is None else Saying(found.status, Reason(found.reason), found.message)


def _lingers(sight: Sight, reason: Reason) -> bool:
    """Whether that was said so lately that a moment of calm is no end of it: it would come and go at each look."""
    found = find(sight.pool.status.conditions, ConditionType.HEALTHY)
    if found is None or found.status is not FALSE or found.reason != reason.value:
        return False
    return sight.now - found.last_transition_time < timedelta(seconds=CALM_SECONDS)


def reconnecting(sight: Sight, reconnect: ReconnectStatus) -> tuple[Reason, str]:
    """Why a reconnect is under way, and what it waits for."""
    failure, server = failure_of(sight.observed), server_of(sight.observed)
    if reconnect.phase is not ReconnectPhase.WAITING:
        late = next((f"; {m.name}: {m.message}" for m in sight.status.members if m.message is not None), "")
        return Reason.RECONNECTING, f"{reconnect.cause}; every instance is verified now{late}"
    if failure is not None:
        return Reason.SERVER_LOST, f"{reconnect.cause}; {explain(sight.pool.spec, failure)[1]}"
    wrong = roles.server_fault(sight.pool.spec, server) if server is not None else None
    if wrong is not None:
        return wrong
    return Reason.AWAITING_SERVER, f"{reconnect.cause}; the server is looked at again"


def _found(observed: PoolObserved) -> Iterator[tuple[InstanceView, InstanceFinding]]:
    for instance in serving(observed):
        finding = finding_of(observed, instance)
        if finding is not None:
            yield instance, finding


def _instance_health(sight: Sight) -> Saying | None:
    observed, spec = sight.observed, sight.pool.spec
    for instance, finding in _found(observed):
        silent = _silence(instance, finding)
        if silent is not None:
            return Saying(FALSE, *silent)
    there = serving(observed)
    if spec.instances > 0 and not there:
        if not _was_checked(sight):
            return None  # they are being made
        return Saying(FALSE, Reason.INSTANCES_NOT_READY, "no instance is ready" + _problem(observed))
    if server_of(observed) is None or any(not _is_seen(observed, i) for i in there):
        return None
    waiting = any(_waits_long(observed, i) for i in there)
    if not waiting and _lingers(sight, Reason.CLIENTS_WAITING):
        return _before(sight)
    if waiting:
        # No names of instances: they would be others at every look.
        message = f"clients have waited for {LONG_WAIT_SECONDS:.0f} s or more for a server connection: "
        return Saying(FALSE, Reason.CLIENTS_WAITING, message + "raise size.max, or shorten transactions")
    if _is_slow(sight):
        slow = spec.health_check.slow_threshold_ms
        message = f"queries through the instances take longer than {slow} ms (healthCheck.slowThresholdMs)"
        return Saying(FALSE, Reason.SLOW, message + ": see the load of the server and of the instances")
    return Saying(TRUE, Reason.CHECKS_PASSED, "the server and every instance are as they should be")


def _was_checked(sight: Sight) -> bool:
    before = find(sight.pool.status.conditions, ConditionType.HEALTHY)
    return before is not None and before.status is not UNKNOWN


def _silence(instance: InstanceView, finding: InstanceFinding) -> tuple[Reason, str] | None:
    if isinstance(finding.console, Failure):
        said = finding.console.message or finding.console.fault.value
        message = f"the console of instance {instance.name} does not answer: {said}; see its log"
        return Reason.INSTANCE_UNREACHABLE, message
    if isinstance(finding.through, Failure):
        said = finding.through.message or finding.through.fault.value
        if finding.through.fault is Fault.TOO_MANY_CONNECTIONS:
            # It is full, not dead: who is connected is served.
            message = f"there is no connection left for a check through instance {instance.name}: {said}; "
            return Reason.TOO_MANY_CONNECTIONS, message + "raise maxClients, or max_connections at the server"
        message = f"the server does not answer through instance {instance.name}: {said}; see its log"
        return Reason.INSTANCE_UNREACHABLE, message
    return None


def _is_seen(observed: PoolObserved, instance: InstanceView) -> bool:
    finding = finding_of(observed, instance)
    return finding is not None and finding.through is not None and isinstance(finding.console, Console)


def _waits_long(observed: PoolObserved, instance: InstanceView) -> bool:
    console = console_of(observed, instance)
    waiting = console is not None and console.clients_waiting > 0 and not console.paused
    return waiting and console is not None and console.longest_wait_seconds >= LONG_WAIT_SECONDS


def _is_slow(sight: Sight) -> bool:
    """By the figure that is written down; it ends only well below the threshold, so that it does not flap."""
    if sight.status.query_ms is None:
        return False
    before = find(sight.pool.status.conditions, ConditionType.HEALTHY)
    was = before is not None and before.reason == Reason.SLOW.value
    slow = sight.pool.spec.health_check.slow_threshold_ms * (SLOW_IS_OVER if was else 1.0)
    return float(sight.status.query_ms.p95) > slow


def _problem(observed: PoolObserved) -> str:
    problem = observed.fleet.problem if observed.fleet is not None else None
    return "" if problem is None else f": {problem.message}"


def role_correct(sight: Sight) -> Saying | None:
    """Whether the server, and what every instance holds, has the pool's role."""
    observed, spec = sight.observed, sight.pool.spec
    if failure_of(observed) is not None:
        return _role_without_server(sight)
    server = server_of(observed)
    if server is None:
        return None
    fault = roles.server_fault(spec, server)
    if fault is not None and fault[0] is Reason.WRONG_ROLE:
        return Saying(FALSE, *fault)
    seen = [(i, f.through) for i, f in _found(observed) if isinstance(f.through, Through)]
    for instance, through in seen:
        wrong = roles.through_fault(spec, server, through)
        if wrong is not None:
            return Saying(FALSE, Reason.WRONG_ROLE, f"instance {instance.name}: {wrong}; it is told to reconnect")
    if not seen and serving(observed):
        return None
    return Saying(TRUE, Reason.ROLE_VERIFIED, f"the server has the role {spec.role.value}, verified through instances")


def _role_without_server(sight: Sight) -> Saying:
    """The operator does not reach the server, as with a wrong password, but instances may: what they hold counts."""
    for instance, finding in _found(sight.observed):
        if isinstance(finding.through, Through):
            wrong = roles.wrong_role(sight.pool.spec, finding.through.role)
            if wrong is not None:
                return Saying(FALSE, Reason.WRONG_ROLE, f"instance {instance.name}: the server behind it {wrong}")
    return Saying(UNKNOWN, Reason.AWAITING_SERVER, "the server does not answer, so its role is not known")


def within_budget(sight: Sight) -> Saying | None:
    """Whether everything that the pool could open fits."""
    budget = sight.status.budget
    within = is_within(budget, sight.pool.spec, server_of(sight.observed)) if budget is not None else None
    if budget is None or within is None:
        return None
    before = find(sight.pool.status.conditions, ConditionType.WITHIN_BUDGET)
    if within and before is not None and before.status is FALSE and not has_room(budget):
        return None  # others' sessions come and go: it is over when there is room for some of them
    if within:
        return Saying(TRUE, Reason.BUDGET_KEPT, f"{budget.granted} connections at most, of {budget.available} left")
    holders = ", ".join(f"{h.name} holds {h.connections}" for h in budget.holders) or "nobody else holds any"
    message = (
        f"size.max {sight.pool.spec.size.max} could open {budget.wanted} connections, and the pool is held to "
        f"{budget.granted}: the server has {budget.available} left for it, and {holders}"
    )
    if sight.pool.spec.budget is not None:
        message += "; spec.budget sets a limit as well"
    return Saying(FALSE, Reason.OVER_BUDGET, message + ". Lower size.max or instances, or raise max_connections")


def config_applied(sight: Sight) -> Saying | None:
    """Whether every instance runs with the newest configuration."""
    wanted, there = sight.status.config_hash, serving(sight.observed)
    if wanted is None or not there:
        return None
    late: list[str] = []
    for instance in there:
        console = console_of(sight.observed, instance)
        if console is None:
            return None
        if console.config_hash != wanted:
            late.append(instance.name)
    if late:
        words = f"{count(len(late), 'instance')} not yet with the newest configuration: {', '.join(late)}"
        return Saying(FALSE, Reason.CONFIG_PENDING, words)
    return Saying(TRUE, Reason.CONFIG_CONFIRMED, "every instance runs with the newest configuration")


def paused(sight: Sight) -> Saying | None:
    """Whether clients wait; nothing when nobody asked for it."""
    pause = sight.status.pause
    if pause is None:
        return None
    if pause.over:
        message = "the pause ended by itself; set paused to false, and to true again to pause anew"
        return Saying(FALSE, Reason.RESUMED_BY_TIMEOUT, message)
    return Saying(TRUE, Reason.PAUSED_BY_SPEC, f"clients wait until {pause.until:%H:%M:%S} UTC at the latest")
