"""Commands of the operator to Redis nodes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from redis import exceptions

from sophia_operator.adapters.redis_faults import NoAnswerError
from sophia_operator.adapters.redis_session import APPLICATION, Session, Word
from sophia_operator.core.cache import names
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import NodeCommand, NodeRequest, NodeVerb
from sophia_operator.core.cache.users import password_hash

#: Writes are held back for no longer: a target that does not catch up until then is none, and Redis calls it off.
_HAND_OVER_MS: Final = 5_000
_AT_ONCE: Final = 100
#: Redis before 7.0 sets one at a time.
_ONE_BY_ONE: Final = "wrong number of arguments"
_NOTHING_TO_CANCEL: Final = "No failover in progress"

_Address = tuple[str, int]
#: Whom a node follows that is to follow nobody, and is no primary all the same.
_NOBODY: Final[_Address] = (names.FENCE_HOST, names.FENCE_PORT)


async def carry_out(session: Session, request: NodeRequest, command: NodeCommand, target: _Address | None) -> None:
    """Carry out a command. Raises NoAnswerError, RedisError or OSError when it was not."""
    await _VERBS[command.verb](session, request, command, target)


async def _promote(session: Session, _: NodeRequest, __: NodeCommand, ___: _Address | None) -> None:
    await session.ask("REPLICAOF", "NO", "ONE")


async def _follow(session: Session, _: NodeRequest, command: NodeCommand, target: _Address | None) -> None:
    whom = _NOBODY if command.target is None else _needed(target)
    await session.ask("REPLICAOF", *whom)


async def _hand_over(session: Session, _: NodeRequest, __: NodeCommand, target: _Address | None) -> None:
    await session.ask("FAILOVER", "TO", *_needed(target), "TIMEOUT", _HAND_OVER_MS)


async def _cancel_hand_over(session: Session, _: NodeRequest, __: NodeCommand, ___: _Address | None) -> None:
    try:
        await session.ask("FAILOVER", "ABORT")
    except exceptions.ResponseError as error:
        if _NOTHING_TO_CANCEL not in str(error):
            raise


async def _configure(session: Session, _: NodeRequest, command: NodeCommand, __: _Address | None) -> None:
    if not command.settings:
        return
    words: list[Word] = [word for setting in command.settings for word in setting]
    try:
        await session.ask("CONFIG", "SET", *words)
    except exceptions.ResponseError as error:
        if len(command.settings) == 1 or _ONE_BY_ONE not in str(error):
            raise
        for name, value in command.settings:
            await session.ask("CONFIG", "SET", name, value)


async def _add_passwords(session: Session, _: NodeRequest, command: NodeCommand, __: _Address | None) -> None:
    # Those that they have stay valid, so nobody is disconnected, and nodes that have only those follow on.
    for user, password in command.passwords:
        await session.ask("ACL", "SETUSER", user, f"#{password_hash(password)}")
    replicator = dict(command.passwords).get(names.REPLICATOR)
    if replicator is not None:
        await session.ask("CONFIG", "SET", "masterauth", replicator)


async def _purge_memory(session: Session, _: NodeRequest, __: NodeCommand, ___: _Address | None) -> None:
    await session.ask("MEMORY", "PURGE")


async def _disconnect_clients(session: Session, request: NodeRequest, _: NodeCommand, __: _Address | None) -> None:
    """The operator's own connections stay: they are told by name, and clients of other users need no such look."""
    text = await session.ask("CLIENT", "LIST", "TYPE", "normal")
    clients = [_client(line) for line in text.decode(errors="replace").splitlines()]
    own = request.username or "default"
    others = sorted({client.get("user", "default") for client in clients} - {own})
    kills: list[tuple[Word, ...]] = [("CLIENT", "KILL", "TYPE", "normal", "USER", user) for user in others]
    answers = await session.ask_all(kills)
    # Users that were taken away, or are none, such as the one that modules run as.
    failed = {user for user, answer in zip(others, answers, strict=True) if isinstance(answer, Exception)}
    left = [
        client["id"]
        for client in clients
        if "id" in client
        and (client.get("user", "default") in failed or client.get("user", "default") == own)
        and client.get("name") != APPLICATION
    ]
    for first in range(0, len(left), _AT_ONCE):
        killed = await session.ask_all([("CLIENT", "KILL", "ID", number) for number in left[first : first + _AT_ONCE]])
        for answer in killed:
            # It answers with how many it ended: one that has gone meanwhile is none that is left.
            if isinstance(answer, Exception):
                raise answer


def _client(line: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in line.split(" ") if "=" in part)


def _needed(target: _Address | None) -> _Address:
    if target is None:
        raise NoAnswerError(CacheFailure(CacheFault.UNREACHABLE, "the other node of the command has no address"))
    return target


_Carry = Callable[[Session, NodeRequest, NodeCommand, _Address | None], Coroutine[Any, Any, None]]
_VERBS: Final[Mapping[NodeVerb, _Carry]] = {
    NodeVerb.PROMOTE: _promote,
    NodeVerb.FOLLOW: _follow,
    NodeVerb.HAND_OVER: _hand_over,
    NodeVerb.CANCEL_HAND_OVER: _cancel_hand_over,
    NodeVerb.CONFIGURE: _configure,
    NodeVerb.ADD_PASSWORDS: _add_passwords,
    NodeVerb.DISCONNECT_CLIENTS: _disconnect_clients,
    NodeVerb.PURGE_MEMORY: _purge_memory,
}
