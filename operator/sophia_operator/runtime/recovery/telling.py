"""Who tells receivers of what became of actions and policies."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from sophia_operator.api.recovery_action_status import RecoveryActionStatus
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.core.recovery.signals import with_change
from sophia_operator.core.recovery.views import ActionView, PolicyView


class Teller(Protocol):
    """Takes news at once, and sends them beside: nothing waits for a receiver."""

    def action_to_write(
        self, action: ActionView, status: RecoveryActionStatus, policies: tuple[PolicyView, ...], now: datetime
    ) -> RecoveryActionStatus:
        """The status to be written, with what is to be told of it, and without what was. `action` has the status
        before."""

    def policy_to_write(self, policy: PolicyView, status: RecoveryPolicyStatus, now: datetime) -> RecoveryPolicyStatus:
        """The same of a policy, and with how it goes with its receivers."""

    def action_changed(self, action: ActionView, policies: tuple[PolicyView, ...]) -> None:
        """The action's status was written, or is as it is after a restart: what it says is `untold` is to be told to
        receivers of these policies."""

    def policy_changed(self, policy: PolicyView, status: RecoveryPolicyStatus) -> None:
        """The policy's status was written; `policy` has the one before."""

    def forget(self, namespace: str, name: str) -> None:
        """The action is gone."""

    def forget_policy(self, namespace: str, name: str) -> None:
        """The policy is gone."""


class NoReceivers:
    """Tells nobody: for tests, and tools."""

    def action_to_write(
        self, action: ActionView, status: RecoveryActionStatus, policies: tuple[PolicyView, ...], now: datetime
    ) -> RecoveryActionStatus:
        """As in Teller: there is nobody who did not take it."""
        del policies
        return with_change(action.status, status, wanted=False, now=now)

    def policy_to_write(self, policy: PolicyView, status: RecoveryPolicyStatus, now: datetime) -> RecoveryPolicyStatus:
        """As in Teller."""
        del policy, now
        return status

    def action_changed(self, action: ActionView, policies: tuple[PolicyView, ...]) -> None:
        """As in Teller."""

    def policy_changed(self, policy: PolicyView, status: RecoveryPolicyStatus) -> None:
        """As in Teller."""

    def forget(self, namespace: str, name: str) -> None:
        """As in Teller."""

    def forget_policy(self, namespace: str, name: str) -> None:
        """As in Teller."""
