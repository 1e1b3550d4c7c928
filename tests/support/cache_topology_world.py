"""A cluster with the nodes of one Redis level, and an operator that looks, decides, writes down and tells.

Between any two of its steps time goes by. It starts anew, and loses its memory; what it writes and tells gets lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus, NodeRole
from sophia_operator.core.cache import names
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import NodeCommand, NodeCommandResult, NodeFinding, NodeVerb
from sophia_operator.core.cache.topology import TopologyPlan, plan_topology
from sophia_operator.core.cache.topology.sight import sight as sight_of
from sophia_operator.core.cache.topology.sight import synced
from sophia_operator.core.cache.views import Kept, NodesView, NodeView, TierObserved, TierView
from tests.support.cache_nodes import BrokenError, Net, Redis

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
OPERATOR: Final = "operator"
_TIMEOUT: Final = CacheFailure(CacheFault.TIMEOUT, "no answer within 2 s")
_REFUSED: Final = CacheFailure(CacheFault.REFUSED, "connection refused")


@dataclass
class Pod:
    """A pod and the process in it."""

    name: str
    uid: str
    address: str
    template: int
    process: Redis | None = None
    started: bool = False
    starts_at: float = 0.0
    role_label: str | None = None
    terminating_until: float | None = None
    disk: list[int] = field(default_factory=list)
    #: What the kubelet said last.
    view: NodeView | None = None


@dataclass
class World:
    """All of it."""

    replicas: int = 1
    keeps: bool = False
    paused: bool = False
    net: Net = field(default_factory=Net)
    pods: dict[str, Pod] = field(default_factory=dict)
    status: CacheTierStatus = field(default_factory=CacheTierStatus)
    kept: Kept = field(default_factory=Kept)
    scale: int = 0
    template: int = 1
    made: int = 0
    passes: int = 0
    plan: TopologyPlan | None = None
    #: Commands of which the answer gets lost, and commands that get lost.
    unanswered: int = 0
    lost_commands: int = 0
    #: So many labels are not taken away, since the API server refuses.
    lost_labels: int = 0
    #: The operator dies after the status was written, so many times.
    crashes: int = 0
    #: From when on something went wrong that no plan can help: writes may get lost.
    faulted: bool = False
    disks: dict[str, list[int]] = field(default_factory=dict)
    given: list[tuple[float, NodeCommand]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scale = self.replicas + 1
        self.net.on_write = self._new_writer

    # -- what happens

    def pod(self, index: int) -> Pod | None:
        return self.pods.get(f"shop-cache-{index}")

    def primary(self) -> Pod | None:
        running = [p for p in self.pods.values() if p.process is not None and p.process.role is NodeRole.PRIMARY]
        return next((p for p in running if p.name == self.status.primary), running[0] if running else None)

    def kill(self, pod: Pod | None) -> None:
        """The process ends, and is started anew."""
        if pod is None or pod.process is None:
            return
        self.faulted = True
        self._end(pod)
        pod.starts_at = self.net.now + 1.5

    def _end(self, pod: Pod) -> None:
        if pod.process is not None:
            if self.keeps:
                pod.disk = self.disks[pod.name] = list(pod.process.log)
            self.net.kill(pod.process)
            pod.process = None

    def delete(self, pod: Pod | None) -> None:
        """Somebody, or a drain, wants the pod gone. It has a while to end. The disruption budget does not allow it
        while another is not well: then writes may get lost."""
        if pod is not None and pod.terminating_until is None:
            others = [p for p in self.pods.values() if p is not pod]
            self.faulted = self.faulted or len(others) < self.replicas or not all(map(self._is_well, others))
            pod.terminating_until = self.net.now + 25

    def _is_well(self, pod: Pod) -> bool:
        process = pod.process
        there = process is not None and pod.terminating_until is None
        return there and process is not None and (process.role is NodeRole.PRIMARY or process.link is not None)

    def cut(self, index: int, *, operator: bool, nodes: bool) -> None:
        """A machine is cut off from the operator, and with it from the API server, or from other nodes."""
        self.faulted = True
        me = f"machine-{index}"
        if operator:
            self.net.cuts.add(frozenset((me, OPERATOR)))
        if nodes:
            self.net.cuts |= {frozenset((me, f"machine-{i}")) for i in range(8) if i != index}

    def heal(self) -> None:
        self.net.cuts.clear()
        self.unanswered = self.lost_commands = self.lost_labels = self.crashes = self.net.lose_takeovers = 0
        for process in self.net.processes:
            process.frozen = process.slow = False

    def restart(self) -> None:
        """The operator starts anew, and remembers nothing."""
        self.kept = Kept()

    # -- the cluster

    def tick(self) -> None:
        self.net.tick()
        for name in [f"shop-cache-{i}" for i in range(self.scale)]:
            if name not in self.pods:
                self._create(name)
        for name, pod in list(self.pods.items()):
            if int(name[-1]) >= self.scale and pod.terminating_until is None:
                pod.terminating_until = self.net.now + 0.3
            self._live(pod)

    def _create(self, name: str) -> None:
        self.made += 1
        pod = Pod(name, f"u{self.made}", f"10.0.{name[-1]}.{self.made}", self.template, starts_at=self.net.now + 0.5)
        pod.disk = self.disks.get(name, [])
        self.pods[name] = pod

    def _live(self, pod: Pod) -> None:
        now = self.net.now
        if not self.net.reaches(f"machine-{pod.name[-1]}", OPERATOR) and pod.terminating_until is not None:
            pod.terminating_until = max(pod.terminating_until, now + 1)  # the kubelet does not know yet
        if pod.terminating_until is not None and now >= pod.terminating_until:
            self._end(pod)
            del self.pods[pod.name]
            return
        if pod.process is None and now >= pod.starts_at and pod.terminating_until is None:
            self.made += 1
            run = f"r{self.made}"
            pod.process = Redis(run, pod.address, f"machine-{pod.name[-1]}", list(pod.disk), f"own-{run}")
            pod.process.down_since = now
            pod.started = True
            self.net.processes.append(pod.process)
        if self.net.reaches(f"machine-{pod.name[-1]}", OPERATOR):
            pod.view = self._view(pod)

    def _view(self, pod: Pod) -> NodeView:
        return NodeView(
            name=pod.name,
            uid=pod.uid,
            address=pod.address if pod.started else None,
            ready=pod.process is not None and not pod.process.frozen,
            terminating=pod.terminating_until is not None,
            current=pod.template == self.template,
            ended=pod.started and pod.process is None,
            started_at=START if pod.process is not None else None,
        )

    # -- the operator

    def now(self) -> datetime:
        return START + timedelta(seconds=self.net.now)

    def tier(self) -> TierView:
        managed: dict[str, Any] = {"replicas": self.replicas}
        if self.keeps:
            managed |= {"persistence": "AppendOnly", "storage": {"sizeMegabytes": 100}}
        given = {"level": "Redis", "redis": {"managed": managed}, "paused": self.paused}
        spec = CacheTierSpec.model_validate(given)
        return TierView("shop", "shop", "u", 1, "1", START, spec, self.status)

    def observed(self) -> TierObserved:
        views = [replace(p.view, role_label=p.role_label) for p in self.pods.values() if p.view is not None]
        ready = sum(v.ready for v in views)
        nodes = NodesView(self.scale, len(views), ready, True, None)
        return TierObserved(stateful_set=nodes, nodes=tuple(views), kept=self.kept)

    def run(self, seconds: float) -> None:
        until = self.net.now + seconds
        due = self.net.now
        while self.net.now < until:
            self.tick()
            if self.net.now >= due:
                self.step()
                wait = self.plan.wait if self.plan is not None else None
                due = self.net.now + min(1.0, wait if wait is not None else 1.0)

    def step(self) -> None:
        """One pass."""
        self.passes += 1
        for pod in list(self.pods.values()):
            self._look(pod)
            if self.passes % 3 == 0:
                self.tick()
        before = {p.name: p.uid for p in self.pods.values()}
        self.plan = plan = plan_topology(self.tier(), self.observed(), self.now(), 0.5)
        if plan.primary_run_id != self.status.primary_run_id:
            self.net.chosen(plan.primary_run_id)
        past = [*self.status.failovers, plan.past][-10:] if plan.past is not None else self.status.failovers
        self.status = CacheTierStatus(
            primary=plan.primary,
            primary_run_id=plan.primary_run_id,
            guarded=plan.guarded,
            scale=plan.scale,
            failover=plan.failover,
            failovers=past,
        )
        if self.crashes and (plan.commands or plan.labels):
            self.crashes -= 1
            self.restart()
            return
        self._label({n: v for n, v in plan.labels.items() if v is None}, before)
        failed: set[str] = set()
        for command in plan.commands:
            if command.node not in failed and not self._command(command):
                failed.add(command.node)
            if self.passes % 2 == 0:
                self.tick()
        self._label({n: v for n, v in plan.labels.items() if v is not None}, before)
        for victim in plan.delete:
            gone = self.pods.get(victim.name)
            if gone is not None and gone.uid == victim.uid and gone.terminating_until is None:
                gone.terminating_until = self.net.now + 0.3
                self.faulted = self.faulted or len(self.pods) == 1  # a single node goes with its keys
        if plan.scale is not None:
            self.scale = plan.scale

    def _look(self, pod: Pod) -> None:
        if pod.view is None or pod.view.address is None:
            return
        answer: Any = _TIMEOUT
        if self.net.reaches(f"machine-{pod.name[-1]}", OPERATOR):
            process = pod.process
            answer = _REFUSED if process is None else _TIMEOUT if process.frozen else self.net.look(process)
        old = self.kept.nodes.get(pod.name)
        if isinstance(answer, CacheFailure):
            same = old is not None and old.uid == pod.uid
            last = (old.answer if not isinstance(old.answer, CacheFailure) else old.last) if same and old else None
            last_at = (old.at if not isinstance(old.answer, CacheFailure) else old.last_at) if same and old else None
            if not same and old is not None:
                answer_of = NodeFinding(self.now(), pod.uid, answer)
            else:
                answer_of = NodeFinding(self.now(), pod.uid, answer, last, last_at)
        else:
            answer_of = NodeFinding(self.now(), pod.uid, answer, answer, self.now())
        self.kept = replace(self.kept, nodes={**self.kept.nodes, pod.name: answer_of})

    def _label(self, labels: Mapping[str, str | None], uids: Mapping[str, str]) -> None:
        for name, value in labels.items():
            pod = self.pods.get(name)
            if value is None and self.lost_labels:
                self.lost_labels -= 1
            elif pod is not None and pod.uid == uids.get(name):
                pod.role_label = value
        if sum(p.role_label == names.ROLE_PRIMARY for p in self.pods.values()) > 1:
            raise BrokenError("two pods are labelled primary")

    def _command(self, command: NodeCommand) -> bool:
        """Give it; whether it is known to have been carried out."""
        self.given.append((self.net.now, command))
        failure: CacheFailure | None = _TIMEOUT
        if self.lost_commands:
            self.lost_commands -= 1
        else:
            failure = self._carry_out(command)
            if self.unanswered:
                self.unanswered -= 1
                failure = _TIMEOUT
        result = NodeCommandResult(self.now(), failure)
        told = {**self.kept.commands, (command.node, command.verb.value): result}
        self.kept = replace(self.kept, commands=told)
        return failure is None

    def _carry_out(self, command: NodeCommand) -> CacheFailure | None:
        pod = self.pods.get(command.node)
        process = pod.process if pod is not None else None
        if pod is None or not self.net.reaches(f"machine-{pod.name[-1]}", OPERATOR):
            return _TIMEOUT
        if process is None:
            return _REFUSED
        if process.frozen:
            return _TIMEOUT
        target = self.pods.get(command.target) if command.target is not None else None
        said = self._obey(process, command, target)
        return CacheFailure(CacheFault.OTHER, said) if said is not None else None

    def _obey(self, process: Redis, command: NodeCommand, target: Pod | None) -> str | None:
        verb = command.verb
        if verb is NodeVerb.HAND_OVER:
            return self.net.hand_over(process, target.process if target is not None else None)
        if verb is NodeVerb.CANCEL_HAND_OVER:
            return self.net.cancel(process)
        if verb is NodeVerb.CONFIGURE:
            process.min_replicas = int(dict(command.settings)[names.MIN_REPLICAS])
            self.net._recount(process)
        if verb in (NodeVerb.PROMOTE, NodeVerb.FOLLOW) and process.state != "no-failover":
            return "REPLICAOF not allowed while failing over."
        if verb is NodeVerb.PROMOTE and process.role is NodeRole.REPLICA:
            self.net.make_primary(process)
        if verb is NodeVerb.FOLLOW and command.target is None:
            self.net.make_replica(process, names.FENCE_HOST, names.FENCE_PORT)
        elif verb is NodeVerb.FOLLOW and target is not None:
            self.net.make_replica(process, target.address, names.PORT)
        return None

    # -- what is judged

    def _new_writer(self, process: Redis) -> None:
        """A new primary accepts its first write. In a planned change it has all that was accepted before."""
        if self.faulted or self.replicas == 0:
            return
        missing = set(self.net.acked) - set(process.log)
        if missing:
            raise BrokenError(f"{len(missing)} writes were lost in a planned change, at {process.address}")

    def judge_rest(self) -> None:
        """One primary, everybody in sync, and everything as asked for."""
        primaries = [p for p in self.pods.values() if p.process and p.process.role is NodeRole.PRIMARY]
        why = f"{self.plan.reason if self.plan else None} {self.status.failover}"
        _must(len(primaries) == 1, f"primaries: {[p.name for p in primaries]}; {why}")
        head = primaries[0]
        _must(self.status.primary == head.name and self.status.failover is None, f"the status differs: {why}")
        seen = sight_of(self.tier(), self.observed(), self.now(), 0)
        first = seen.get(head.name)
        assert first is not None
        late = [n.name for n in seen.others(head.name) if not synced(n, first)]
        _must(not late, f"not in sync: {late}; {why}")
        _must(len(self.pods) == self.replicas + 1, f"{len(self.pods)} pods; {why}")
        labels = {p.name: p.role_label for p in self.pods.values()}
        right = {n: names.ROLE_PRIMARY if n == head.name else names.ROLE_REPLICA for n in self.pods}
        _must(labels == right, f"labels are {labels}; {why}")
        _must(all(p.template == self.template for p in self.pods.values()), f"the roll is not over: {why}")
        assert head.process is not None
        wanted = 1 if self.replicas else 0
        _must(head.process.min_replicas == wanted, f"min-replicas is {head.process.min_replicas}; {why}")
        _must(self.status.guarded == bool(wanted), "guarded is not as it should be")
        _must(head.process.log[-1:] == [self.net.writes], f"the primary accepts no writes; {why}")


def _must(holds: bool, message: str) -> None:
    if not holds:
        raise BrokenError(message)
