"""Tells receivers what became of actions and policies, beside the passes: nothing waits for a receiver.

What is to be told stands in the status of its object until it was told, or given up on. So it is told at least once:
after a crash it is told again, with the same id.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from pydantic import ValidationError

from sophia_operator.api.recovery_action_status import RecoveryActionStatus
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.api.recovery_signal import Signal
from sophia_operator.core.recovery import signal_delivery, signal_words, signals
from sophia_operator.core.recovery.signal_words import SignalMessage
from sophia_operator.core.recovery.signals import Receiver
from sophia_operator.core.recovery.views import ActionView, PolicyView
from sophia_operator.ports import Clock, Cluster, Object, Signals
from sophia_operator.runtime.recovery import observe
from sophia_operator.runtime.recovery.parsed import parsed
from sophia_operator.runtime.recovery.signal_addresses import Addresses, kind_of
from sophia_operator.runtime.recovery.signal_lanes import Lane, Lines, NoReceiverError, Requests, Result
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.telemetry_signals import UNKNOWN_KIND
from sophia_operator.runtime.wakeups import Key, Wakeups
from sophia_operator.runtime.world import wait_for

logger = logging.getLogger(__name__)

_CAUSE: Final = "signal"
_UNREADABLE: Final = "its policy cannot be read: mend the spec"
#: A receiver: namespace, policy and its own name; without a name whoever it will be, once the policy can be read.
ReceiverKey = tuple[str, str, str]
_ANYBODY: Final = ""


@dataclass(slots=True)
class _Telling:
    """What is told of one object."""

    wakeups: Wakeups
    key: Key
    #: By the id of a signal: the receivers that did not take it yet.
    waiting: dict[str, set[ReceiverKey]]
    #: Ids of signals with which nothing more is tried.
    told: set[str]


class Signalling:
    """Implements `telling.Teller`. Close it to end what is under way."""

    def __init__(
        self,
        signals: Signals,
        cluster: Cluster,
        store: ObjectStore,
        note: Callable[[Mapping[str, Any]], object],
        clock: Clock,
        *,
        telemetry: Telemetry,
        policies: Wakeups,
        actions: Wakeups,
        requests: Requests | None = None,
        wait: Callable[[asyncio.Event, float | None], Awaitable[None]] = wait_for,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._signals = signals
        self._store = store
        self._addresses = Addresses(cluster, store, note)
        self._clock = clock
        self._telemetry = telemetry
        self._policies, self._actions = policies, actions
        self._requests = requests or Requests()
        self._wait = wait
        self._jitter = jitter
        self._lanes: dict[ReceiverKey, Lane] = {}
        self._of_actions: dict[Key, _Telling] = {}
        self._of_policies: dict[Key, _Telling] = {}
        #: By policy: its generation when its receivers were last looked at.
        self._generations: dict[Key, int] = {}
        #: Kinds of receivers, as they were when their policies could be read.
        self._kinds: dict[ReceiverKey, str] = {}
        #: Policies that could not be read when they were needed last.
        self._unreadable: set[Key] = set()

    def action_to_write(
        self, action: ActionView, status: RecoveryActionStatus, policies: tuple[PolicyView, ...], now: datetime
    ) -> RecoveryActionStatus:
        """The status to be written, with what is to be told of it, and without what was. `action` has the status
        before."""
        wanted = status.changes != action.status.changes and bool(self._whom(action, policies))
        noted = signals.with_change(action.status, status, wanted=wanted, now=now)
        telling = self._of_actions.get((action.namespace, action.name))
        if telling is None:
            return noted
        telling.told &= {signals.change_id(action.uid, change.number) for change in noted.untold}
        return signals.without_told(action.uid, noted, telling.told)

    def policy_to_write(self, policy: PolicyView, status: RecoveryPolicyStatus, now: datetime) -> RecoveryPolicyStatus:
        """The status to be written, with what is to be told of it, without what was, and with how it goes with the
        receivers. `policy` has the status before."""
        key = (policy.namespace, policy.name)
        mended = key in self._unreadable
        self._unreadable.discard(key)
        if self._generations.setdefault(key, policy.generation) != policy.generation or mended:
            self._generations[key] = policy.generation
            self._look_again(policy)
        noted = signals.with_news(policy, status, now)
        telling = self._of_policies.get(key)
        if telling is not None:
            telling.told &= {news.id for news in noted.untold}
            noted = signals.without_told_news(noted, telling.told)
        lanes = {name: lane for (*owner, name), lane in self._lanes.items() if tuple(owner) == key}
        outcomes = {name: lane.outcome for name, lane in lanes.items() if lane.outcome is not None}
        return signal_delivery.with_condition(policy, noted, outcomes, now)

    def action_changed(self, action: ActionView, policies: tuple[PolicyView, ...]) -> None:
        """The action's status was written, or is as it is after a restart."""
        if not action.status.untold:
            return
        key = (action.namespace, action.name)
        telling = self._of_actions.setdefault(key, _Telling(self._actions, key, {}, set()))
        who = self._whom(action, policies)
        for change in action.status.untold:
            self._tell(telling, signal_words.of_change(action, change), who)

    def policy_changed(self, policy: PolicyView, status: RecoveryPolicyStatus) -> None:
        """The policy's status was written, or is as it is after a restart."""
        if not status.untold:
            return
        key = (policy.namespace, policy.name)
        telling = self._of_policies.setdefault(key, _Telling(self._policies, key, {}, set()))
        for news in status.untold:
            self._tell(telling, signal_words.of_news(policy, news), _keys(signals.receivers_of_news(policy, news)))

    def forget(self, namespace: str, name: str) -> None:
        """The action is gone. What waits is told all the same."""
        self._of_actions.pop((namespace, name), None)

    def forget_policy(self, namespace: str, name: str) -> None:
        """The policy is gone, and its receivers with it."""
        key = (namespace, name)
        self._of_policies.pop(key, None)
        self._generations.pop(key, None)
        self._unreadable.discard(key)
        self._addresses.forget(namespace, name)
        for receiver in [r for r in self._lanes if r[:2] == key]:
            # It finds that there is no receiver any more, and ends.
            self._lanes.pop(receiver).renew()
            self._kinds.pop(receiver, None)

    async def close(self) -> None:
        """End what is under way: what was not told is told by who comes next."""
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))

    def _whom(self, action: ActionView, policies: Iterable[PolicyView]) -> set[ReceiverKey]:
        """Who is told of the action. Of a policy that cannot be read it is not known yet."""
        trigger = action.spec.trigger
        if trigger is not None and self._has_hidden_receivers(action.namespace, trigger.policy):
            return {(action.namespace, trigger.policy, _ANYBODY)}
        return _keys(self._receivers(action, policies))

    def _receivers(self, action: ActionView, policies: Iterable[PolicyView]) -> tuple[Receiver, ...]:
        telling = [policy for policy in policies if policy.spec.signals]
        if not telling:
            return ()
        kind, name = action.target
        now = self._clock.now()
        target = observe.target_of(self._store, action.namespace, kind, name, now) if _by_person(action) else None
        return signals.receivers(action, target, telling)

    def _tell(self, telling: _Telling, message: SignalMessage, keys: set[ReceiverKey]) -> None:
        if message.id in telling.waiting or message.id in telling.told:
            return
        if not keys:
            self._told(telling, message.id)
            return
        telling.waiting[message.id] = set(keys)
        for key in sorted(keys):
            self._lane(key).put(message)

    def _lane(self, key: ReceiverKey) -> Lane:
        if key not in self._lanes:
            namespace, policy, name = key
            lines = Lines(
                name=f"receiver {name or '(not known)'} of RecoveryPolicy {namespace}/{policy}",
                post=partial(self._post if name else self._hold, key),
                counted=lambda result: self._telemetry.signals.ended(self._kind(key), result.value),
                refused=lambda status: self._telemetry.signals.refused(self._kind(key), status),
                settled=partial(self._settled, key),
                changed=partial(self._policies.wake, key[:2], _CAUSE),
            )
            self._kind(key)  # which is known now, and may not be later
            self._lanes[key] = Lane(lines, self._requests, self._clock.now, self._wait, self._jitter)
        return self._lanes[key]

    async def _post(self, key: ReceiverKey, message: SignalMessage) -> str | None:
        signal = self._signal(key)
        if signal is None:
            if self._waits_for(key[:2]):
                return _UNREADABLE
            raise NoReceiverError
        request = await self._addresses.request(key, signal, message)
        return request if isinstance(request, str) else await self._signals.send(request)

    async def _hold(self, key: ReceiverKey, message: SignalMessage) -> str | None:
        """Tried as any other. Once the policy can be read, or is gone, the action's loop looks anew who is told."""
        if self._waits_for(key[:2]):
            return _UNREADABLE
        held = [telling for telling in self._of_actions.values() if message.id in telling.waiting]
        for telling in held:
            del telling.waiting[message.id]
            telling.wakeups.wake(telling.key, _CAUSE)
        if not held:
            logger.warning("signal %s was dropped: its action went while its policy could not be read", message.id)
            self._telemetry.signals.ended(UNKNOWN_KIND, Result.DROPPED.value)
        raise NoReceiverError

    def _signal(self, key: ReceiverKey) -> Signal | None:
        """The receiver as its policy has it now."""
        namespace, policy, name = key
        view = parsed(self._store, "RecoveryPolicy", namespace, policy, _readable)
        return next((s for s in view.spec.signals if s.name == name), None) if view is not None else None

    def _is_unreadable(self, policy: Key) -> bool:
        there = self._store.version("RecoveryPolicy", *policy) is not None
        return there and parsed(self._store, "RecoveryPolicy", *policy, _readable) is None

    def _waits_for(self, policy: Key) -> bool:
        """Whether signals wait until the policy can be read. The log says it once."""
        if not self._is_unreadable(policy):
            return False
        if policy not in self._unreadable:
            self._unreadable.add(policy)
            said = "RecoveryPolicy %s/%s cannot be read: its signals wait for some minutes, and are dropped then"
            logger.warning(said, *policy)
        return True

    def _has_hidden_receivers(self, namespace: str, policy: str) -> bool:
        """Whether the policy has receivers which cannot be read."""
        if not self._is_unreadable((namespace, policy)):
            return False
        obj = self._store.get("RecoveryPolicy", namespace, policy)
        return obj is not None and bool(obj["spec"].get("signals")) and self._waits_for((namespace, policy))

    def _kind(self, key: ReceiverKey) -> str:
        signal = self._signal(key)
        if signal is not None:
            self._kinds[key] = kind_of(signal)
        return self._kinds.get(key, UNKNOWN_KIND)

    def _settled(self, receiver: ReceiverKey, message: str) -> None:
        for telling in (*self._of_actions.values(), *self._of_policies.values()):
            waiting = telling.waiting.get(message)
            if waiting is not None:
                waiting.discard(receiver)
                if not waiting:
                    del telling.waiting[message]
                    self._told(telling, message)

    def _told(self, telling: _Telling, message: str) -> None:
        telling.told.add(message)
        telling.wakeups.wake(telling.key, _CAUSE)

    def _look_again(self, policy: PolicyView) -> None:
        """Its spec changed: whoever is not in it any more is forgotten, and the others are tried at once."""
        names = {signal.name for signal in policy.spec.signals}
        for key in [k for k in self._lanes if k[:2] == (policy.namespace, policy.name)]:
            self._lanes[key].renew()
            if key[2] not in names:
                del self._lanes[key]
                self._kinds.pop(key, None)


def _by_person(action: ActionView) -> bool:
    return action.spec.trigger is None


def _keys(receivers: Iterable[Receiver]) -> set[ReceiverKey]:
    return {receiver.key for receiver in receivers}


def _readable(obj: Object) -> PolicyView | None:
    try:
        return observe.policy_view(obj)
    except ValidationError:
        return None
