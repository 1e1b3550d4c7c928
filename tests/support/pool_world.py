"""A world with a PostgreSQL that moves, PgBouncers, and an operator that looks, writes down, and tells.

What is judged is judged here: each command as it is given, and each reconnect as it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sophia_operator.api.conditions import violations
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus, PauseStatus, ReconnectPhase
from sophia_operator.api.recovery_action_status import ActPhase
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.decision import RequeueAfter
from sophia_operator.core.pool.activity import Activity, Session
from sophia_operator.core.pool.advance import advance
from sophia_operator.core.pool.decision import PoolDecision
from sophia_operator.core.pool.findings import (
    Command,
    CommandResult,
    Failure,
    Fault,
    InsightsFinding,
    InstanceFinding,
    ServerConnection,
    ServerFinding,
    ServerRole,
    Verb,
)
from sophia_operator.core.pool.needs import needs
from sophia_operator.core.pool.shares import share
from sophia_operator.core.pool.tasks import (
    Acted,
    Analyzed,
    AnalyzeFinding,
    AnalyzeTask,
    Cancelled,
    CancelResult,
    ServerTask,
)
from sophia_operator.core.pool.views import InstanceView, Kept, PoolObserved
from sophia_operator.core.recovery.views import ActRequest
from tests.support.pool_scene import HASH, at, console, failure, observed, pool, server, spec, through

#: A pass takes at least so long.
PASS: Final = 0.05


class BrokenError(AssertionError):
    """A rule was broken."""


@dataclass
class Host:
    """A server process."""

    identity: str
    role: ServerRole = ServerRole.PRIMARY
    up: bool = True


@dataclass
class Link:
    """A server connection of an instance."""

    host: Host
    identity: str
    made: float
    closing: bool = False
    busy_until: float = 0.0


@dataclass
class Bouncer:
    """A PgBouncer."""

    name: str
    uid: str
    host: Host
    ready: bool = True
    terminating: bool = False
    paused: bool = False
    paused_since: float = 0.0
    #: Carries out nothing, and says that it did.
    deaf: bool = False
    silent: bool = False
    #: The connection for checks is closed after each.
    fickle: bool = False
    #: Until then it resolves the name to the server before.
    resolves_at: float = 0.0
    before: Host | None = None
    links: list[Link] = field(default_factory=list)
    check: Link | None = None

    def resolve(self, now: float) -> Host:
        """The server that it connects to now."""
        return self.before if self.before is not None and now < self.resolves_at else self.host

    def work(self, now: float) -> None:
        """Connections end with their server; free ones that are closing are closed; clients open new ones."""
        self.links = [
            k
            for k in self.links
            if k.host.up and k.host.identity == k.identity and (not k.closing or now < k.busy_until)
        ]
        target = self.resolve(now)
        if not self.paused and target.up and not any(not k.closing for k in self.links):
            self.links.append(Link(target, target.identity, now))

    def obey(self, verb: Verb, now: float) -> None:
        """Carry out a command."""
        if self.deaf:
            return
        if verb is Verb.RECONNECT:
            for link in self.links:
                link.closing = True
            self.check = None
        if verb is Verb.KILL:
            self.links = []
        if verb in (Verb.KILL, Verb.PAUSE) and not self.paused:
            self.paused, self.paused_since = True, now
        if verb is Verb.RESUME:
            self.paused = False
        self.work(now)


class World:
    """Everything, and the operator in it. `plan` and others may be replaced by wrong ones."""

    def __init__(self, instances: int = 2, interval: int = 60, decide: Callable[..., PoolDecision] = advance) -> None:
        self.now = 0.0
        self.decide = decide
        self.count = 0
        self.host = Host("A1")
        self.view = pool(spec(instances=instances, healthCheck={"intervalSeconds": interval}))
        self.kept = Kept()
        self.bouncers: dict[str, Bouncer] = {}
        self.lost_commands = 0
        self.refused_writes = 0
        self.given: list[tuple[float, Command]] = []
        self.looked: list[float] = []
        self.told: list[str] = []
        self.hosts = 1
        self.ended = 0
        self.requests: list[ActRequest] = []
        self.asked = 0
        self.sessions: list[Session] = []
        self.analyzed: list[str] = []
        for _ in range(instances):
            self.come()

    # -- what happens

    def come(self) -> None:
        """A new instance."""
        self.count += 1
        name = f"orders-pool-{self.count}"
        self.bouncers[name] = Bouncer(name, f"uid-{self.count}", self.host)

    def move(self, *, dns: float = 0.0, old_lives: bool = False, old_role: ServerRole = ServerRole.STANDBY) -> None:
        """Another server is promoted; the old one dies, or still answers, as a standby or as whatever it thinks."""
        self.hosts += 1
        old, self.host = self.host, Host(f"H{self.hosts}")
        old.up = old_lives and old.up
        old.role = old_role
        for bouncer in self.bouncers.values():
            bouncer.before, bouncer.host, bouncer.resolves_at = old, self.host, self.now + dns
        if not old.up:
            self.watch_breaks()

    def watch_breaks(self) -> None:
        self.kept = replace(self.kept, watch_broke_at=at(self.now))

    def wish(self, **changes: Any) -> None:
        """The user changes the spec."""
        self.view = replace(self.view, spec=self.view.spec.model_copy(update=changes))

    def restart(self) -> None:
        """The operator forgets what it did not write down."""
        self.kept = Kept()

    def ask(self, action: Action) -> None:
        """Recovery asks for something."""
        self.asked += 1
        uid = f"uid-{self.asked}"
        self.requests.append(ActRequest(f"act-{self.asked}", uid, action, claimed_at=at(self.now), may_begin=True))

    def statement(self, pid: int, blocks: int) -> None:
        """A session runs a statement that is old already; what that process did before is over."""
        began = at(self.now - 40)
        made = Session(pid, "app", "10.2.0.1", began, began, False, False, blocks, "SELECT", str(pid))
        self.sessions = [s for s in self.sessions if s.pid != pid] + [made]

    # -- the operator

    def seen(self) -> PoolObserved:
        there = tuple(
            InstanceView(b.name, b.uid, f"10.2.0.{b.name[-1]}", b.ready, b.terminating, True, HASH)
            for b in self.bouncers.values()
        )
        return replace(observed(instances=there), kept=self.kept, acts=tuple(self.requests))

    def look(self) -> None:
        """Everything that is due."""
        due = needs(self.view, self.seen(), at(self.now))
        self.now += PASS
        for bouncer in self.bouncers.values():
            bouncer.work(self.now)
        if due.server:
            self.looked.append(self.now)
            broke = self.kept.watch_broke_at
            self.kept = replace(self.kept, server=ServerFinding(at(self.now), self._server()), watch_broke_at=broke)
        if due.insights:
            self.kept = replace(self.kept, insights=(InsightsFinding(at(self.now)),))
        found = dict(self.kept.instances)
        for name, full in due.instances.items():
            found[name] = self._instance(self.bouncers[name], full, found.get(name))
        self.kept = replace(self.kept, instances=found)

    def _server(self) -> Any:
        activity = Activity(tuple(self.sessions))
        return server(self.host.identity, self.host.role, activity=activity) if self.host.up else failure()

    def _instance(self, b: Bouncer, full: bool, before: InstanceFinding | None) -> InstanceFinding:
        if b.silent:
            silent = failure(Fault.TIMEOUT, "timeout")
            return InstanceFinding(at(self.now), b.uid, silent, before.through if before else None, None)
        shown = console(
            paused=b.paused,
            connections=tuple(ServerConnection("orders", "active", "10.1.0.1", at(k.made), k.closing) for k in b.links),
            servers_active=len(b.links),
            servers_idle=0,
            clients_waiting=0 if b.links else 1,
            pool_size=share(self.view.spec, self.view.status.size).size,
        )
        reached, reached_at = (before.through, before.through_at) if before is not None else (None, None)
        if full:
            reached, reached_at = self._through(b), at(self.now)
        return InstanceFinding(at(self.now), b.uid, shown, reached, reached_at)

    def _through(self, b: Bouncer) -> Any:
        if b.check is None or not b.check.host.up or b.check.identity != b.check.host.identity:
            target = b.resolve(self.now)
            if not target.up:
                b.check = None
                return Failure(Fault.UNREACHABLE, "no server")
            b.check = Link(target, target.identity, self.now)
        reached = through(b.check.identity, b.check.host.role)
        b.check = None if b.fickle else b.check
        return reached

    def step(self) -> float:
        """One pass; says for how long there is nothing to do."""
        self.look()
        before = self.view.status
        decision = self.decide(self.view, self.seen(), at(self.now), 0.5, lambda _pool, _seen: HASH)
        if self.refused_writes:
            self.refused_writes -= 1
            return 0.1
        wrong = violations(decision.status.conditions, self.view.generation)
        if wrong:
            raise BrokenError(str(wrong))
        self.told.extend(n.reason for n in decision.notices)
        self.view = replace(self.view, status=decision.status)
        if before.reconnect is not None and decision.status.reconnect is None:
            self._judge_end(before)
        for command in decision.commands:
            self._give(command)
        for task in decision.tasks:
            self._do(task)
        over = {a.uid for a in self.view.status.acts if a.phase is not ActPhase.RUNNING}
        self.requests = [replace(r, may_begin=r.may_begin and r.uid not in over) for r in self.requests]
        assert isinstance(decision.next, RequeueAfter)
        return decision.next.seconds

    def _give(self, command: Command) -> None:
        self._judge(command)
        self.given.append((self.now, command))
        bouncer, failed = self.bouncers[command.instance], None
        if self.lost_commands or bouncer.silent:
            self.lost_commands = max(0, self.lost_commands - 1)
            failed = failure(Fault.TIMEOUT, "timeout")
        else:
            bouncer.obey(command.verb, self.now)
        results = {**self.kept.commands, (command.instance, command.verb.value): CommandResult(at(self.now), failed)}
        self.kept = replace(self.kept, commands=results)

    def _do(self, task: ServerTask) -> None:
        act = next((a for a in self.view.status.acts if a.uid == task.act), None)
        if act is None or act.phase is not ActPhase.RUNNING:
            raise BrokenError(f"{task} before its act was written down, or after it was over")
        acted = self.kept.acted
        if isinstance(task, AnalyzeTask):
            if task.act in self.analyzed:
                raise BrokenError(f"ANALYZE twice for {task.act}")
            self.analyzed.append(task.act)
            answer = Analyzed(("public.item",)) if self.host.up else failure()
            found = {**acted.analyses, task.act: AnalyzeFinding(at(self.now), answer)}
            self.kept = replace(self.kept, acted=Acted(acted.cancels, found))
            return
        if f"process {task.pid}," not in (act.subject or ""):
            raise BrokenError(f"{task}, and the act is about {act.subject}")
        left = [s for s in self.sessions if (s.pid, s.started_at, s.since) != (task.pid, task.started_at, task.since)]
        there = len(left) < len(self.sessions)
        self.sessions = left
        before = acted.cancels.get(task.act)
        told = there or (before is not None and before.told)
        result = CancelResult(at(self.now), Cancelled.TOLD if there else Cancelled.GONE, told)
        self.kept = replace(self.kept, acted=Acted({**acted.cancels, task.act: result}, acted.analyses))

    def run(self, seconds: float) -> None:
        """Time goes by."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + max(0.1 - PASS, self.step()))

    # -- the rules

    def _judge(self, command: Command) -> None:
        status, bouncer = self.view.status, self.bouncers[command.instance]
        if bouncer.terminating:
            raise BrokenError(f"{command} to an instance that is on its way out")
        reconnect, pause = status.reconnect, status.pause
        # New plans need new connections: that the statistics are new stands in the act by then.
        plans = any(a.action is Action.REFRESH_PLANS and a.phase is ActPhase.RUNNING and a.did for a in status.acts)
        waits = reconnect is None or reconnect.phase is ReconnectPhase.WAITING
        if command.verb is Verb.RECONNECT and waits and not plans:
            raise BrokenError(f"{command} before the state that says so was written down")
        if command.verb is Verb.KILL:
            if reconnect is None or reconnect.server_at is None or reconnect.attempt <= 3:
                raise BrokenError("KILL before three tries failed")
            if at(self.now) - reconnect.server_at < at(15) - at(0):
                raise BrokenError("KILL before instances had time for three tries")
        if command.verb is Verb.PAUSE and not _pauses(pause):
            raise BrokenError("PAUSE that was not written down")
        if command.verb is Verb.RESUME and _pauses(pause):
            raise BrokenError("RESUME in the middle of a pause")

    def _judge_end(self, before: ConnectionPoolStatus) -> None:
        self.ended += 1
        verified = self.kept.server.answer if self.kept.server is not None else None
        for bouncer in self.bouncers.values():
            if not bouncer.ready or bouncer.terminating:
                continue
            wrong = [k for k in bouncer.links if k.identity != getattr(verified, "identity", None)]
            if wrong and self.host.identity == getattr(verified, "identity", None):
                raise BrokenError(f"over ({before.reconnect}), and {bouncer.name} still holds {wrong}")

    def judge_rest(self) -> None:
        """Everything obeys, the server stands, and a while has gone by."""
        status = self.view.status
        if status.reconnect is not None:
            raise BrokenError(f"still reconnecting: {status.reconnect}")
        open_ones = [a for a in status.acts if a.phase is ActPhase.RUNNING]
        if open_ones or any(r.may_begin for r in self.requests):
            raise BrokenError(f"acts are not over: {open_ones}, asked for {self.requests}")
        for bouncer in self.bouncers.values():
            if bouncer.terminating:
                continue
            if bouncer.paused is not _pauses(status.pause):
                raise BrokenError(f"{bouncer.name} paused: {bouncer.paused}, written down: {status.pause}")
            if bouncer.ready and not bouncer.paused and any(k.host is not self.host for k in bouncer.links):
                raise BrokenError(f"{bouncer.name} holds {bouncer.links}, and {self.host} serves")


def _pauses(pause: PauseStatus | None) -> bool:
    return pause is not None and not pause.over
