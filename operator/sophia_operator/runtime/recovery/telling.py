"""Who tells receivers of what became of actions and policies."""

from __future__ import annotations

from typing import Protocol

from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.core.recovery.views import ActionView, PolicyView


class Teller(Protocol):
    """Takes news at once, and sends them beside: nothing waits for a receiver."""

    def action_changed(self, action: ActionView, policies: tuple[PolicyView, ...]) -> None:
        """The action's status was written, or is as it is after a restart: changes from `signalled` to `changes` are to
        be told to receivers of these policies."""

    def policy_changed(self, policy: PolicyView, status: RecoveryPolicyStatus) -> None:
        """The policy's status was written; `policy` has the one before."""

    def told(self, action: ActionView) -> int:
        """How many of its changes every receiver took, or was given up on."""

    def forget(self, namespace: str, name: str) -> None:
        """The action is gone."""


class NoReceivers:
    """Tells nobody: for tests, and tools."""

    def action_changed(self, action: ActionView, policies: tuple[PolicyView, ...]) -> None:
        """As in Teller."""

    def policy_changed(self, policy: PolicyView, status: RecoveryPolicyStatus) -> None:
        """As in Teller."""

    def told(self, action: ActionView) -> int:
        """As in Teller: there is nobody who did not take it."""
        return action.status.changes

    def forget(self, namespace: str, name: str) -> None:
        """As in Teller."""
