"""Reads objects of the API server with the models."""

from __future__ import annotations

from pydantic import ValidationError

from sophia_operator.api.cache_tier import CacheTier
from sophia_operator.api.connection_pool import ConnectionPool
from sophia_operator.api.managed_service import ManagedService
from sophia_operator.api.model_route import ModelRoute
from sophia_operator.api.recovery_action import RecoveryAction
from sophia_operator.api.recovery_policy import RecoveryPolicy
from sophia_operator.api.release import Release
from sophia_operator.cli.session import CliError, Object


def parse_service(obj: Object) -> ManagedService:
    """The ManagedService; CliError when this version cannot read it."""
    try:
        return ManagedService.model_validate(obj)
    except ValidationError as error:
        raise _unreadable(obj, error) from error


def parse_release(obj: Object) -> Release:
    """The Release; CliError when this version cannot read it."""
    try:
        return Release.model_validate(obj)
    except ValidationError as error:
        raise _unreadable(obj, error) from error


def parse_pool(obj: Object) -> ConnectionPool:
    """The ConnectionPool; CliError when this version cannot read it."""
    try:
        return ConnectionPool.model_validate(obj)
    except ValidationError as error:
        raise _unreadable(obj, error) from error


def parse_tier(obj: Object) -> CacheTier:
    """The CacheTier; CliError when this version cannot read it."""
    try:
        return CacheTier.model_validate(obj)
    except ValidationError as error:
        raise _unreadable(obj, error) from error


def parse_route(obj: Object) -> ModelRoute:
    """The ModelRoute; CliError when this version cannot read it."""
    try:
        return ModelRoute.model_validate(obj)
    except ValidationError as error:
        raise _unreadable(obj, error) from error


def parse_policy(obj: Object) -> RecoveryPolicy:
    """The RecoveryPolicy; CliError when this version cannot read it."""
    try:
        return RecoveryPolicy.model_validate(obj)
    except ValidationError as error:
        raise _unreadable(obj, error) from error


def parse_action(obj: Object) -> RecoveryAction:
    """The RecoveryAction; CliError when this version cannot read it."""
    try:
        return RecoveryAction.model_validate(obj)
    except ValidationError as error:
        raise _unreadable(obj, error) from error


def _unreadable(obj: Object, error: ValidationError) -> CliError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    name = obj.get("metadata", {}).get("name", "?")
    return CliError(
        f"{obj.get('kind', 'object')} {name} cannot be read at {where} ({first['msg']}): "
        "is it of a newer operator than this kubectl-sophia?"
    )
