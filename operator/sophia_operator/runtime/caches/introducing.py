"""Nodes that run with passwords that somebody replaced: they are told the new ones, too.

A node that starts takes the new ones alone. So the operator, replicas and clients can go from the one to the other
while nodes are replaced one by one, and keep their keys.
"""

from __future__ import annotations

from dataclasses import replace

from sophia_operator.core.cache import names
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import Node, NodeCommand, NodeRequest, NodeVerb
from sophia_operator.core.cache.views import TierAccess
from sophia_operator.ports import Caches


async def look(caches: Caches, request: NodeRequest, access: TierAccess | None) -> Node | CacheFailure:
    """Look at a node, if need be after it was told the new passwords as who the operator was before."""
    answer = await caches.node(request)
    refused = isinstance(answer, CacheFailure) and answer.fault is CacheFault.AUTHENTICATION_FAILED
    if access is None or not refused:
        return answer
    command = NodeCommand(request.name, NodeVerb.ADD_PASSWORDS, passwords=_passwords(access))
    for earlier in access.earlier_admin_passwords:
        if await caches.command(replace(request, password=earlier), command, None) is None:
            return await caches.node(request)
    return answer


def _passwords(access: TierAccess) -> tuple[tuple[str, str], ...]:
    users = (
        (names.ADMIN, access.admin_password),
        (names.PROBER, access.prober_password),
        (names.REPLICATOR, access.replicator_password),
        (access.client_username, access.client_password),
    )
    return tuple((user, password) for user, password in users if user is not None and password is not None)
