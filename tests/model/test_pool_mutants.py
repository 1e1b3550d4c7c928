"""Planners that are wrong on purpose: each breaks a rule on a way that the right one gets through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from sophia_operator.core.pool import pause, reconnect, triggers, verify
from sophia_operator.core.pool import roles as pool_roles
from sophia_operator.core.pool.findings import ServerRole, Verb
from sophia_operator.core.pool.verify import Standing, Verdict
from tests.support.pool_world import Bouncer, BrokenError, World


def _rest(world: World, seconds: float = 70) -> None:
    for bouncer in world.bouncers.values():
        bouncer.deaf = bouncer.silent = False
    world.lost_commands = 0
    world.run(seconds)
    world.judge_rest()


def moves(world: World) -> None:
    """The server moves, and the old one lives on as a standby. Names trail behind, and commands get lost."""
    for index in range(80):
        world.lost_commands = index % 5
        world.move(dns=index / 25, old_lives=True)
        world.run(4)
    _rest(world)


def two_primaries(world: World) -> None:
    """The server moves, and the old one does not notice."""
    world.move(old_lives=True, old_role=ServerRole.PRIMARY)
    _rest(world)


def moves_with_long_transactions(world: World) -> None:
    """As the server moves, transactions run on the old one."""
    for bouncer in world.bouncers.values():
        for link in bouncer.links:
            link.busy_until = world.now + 8
    world.move(old_lives=True)
    _rest(world)


def an_instance_is_deaf(world: World) -> None:
    """One instance does as if it had carried commands out."""
    next(iter(world.bouncers.values())).deaf = True
    world.move(old_lives=True)
    world.run(40)
    _rest(world, 100)


def deaf_in_a_pause(world: World) -> None:
    """The same, in a pause."""
    world.move(old_lives=True)
    world.run(0.1)
    for bouncer in world.bouncers.values():
        bouncer.deaf = True
    world.run(2)
    world.wish(paused=True)
    world.run(60)
    _rest(world, 100)


def pauses(world: World) -> None:
    """A pause that nobody ends."""
    world.wish(paused=True)
    world.run(300)
    assert sum(1 for _, c in world.given if c.verb is Verb.PAUSE) == len(world.bouncers)
    assert not any(b.paused for b in world.bouncers.values())
    _rest(world)


def pauses_as_an_instance_comes(world: World) -> None:
    """An instance comes in a pause, and the operator starts anew."""
    world.wish(paused=True)
    world.run(5)
    world.come()
    world.run(10)
    assert all(b.paused for b in world.bouncers.values())
    world.restart()
    world.run(130)
    _rest(world)


def goes_out(world: World) -> None:
    """An instance is on its way out as the server moves, and as clients are told to wait."""
    leaving = next(iter(world.bouncers.values()))
    leaving.ready, leaving.terminating = False, True
    world.move()
    world.wish(paused=True)
    _rest(world)


def commands_are_lost(world: World) -> None:
    """The first commands get lost, in a reconnect and in a pause."""
    world.lost_commands = 2
    world.move(old_lives=True)
    world.run(70)
    first = [when for when, c in world.given if c.verb is Verb.RECONNECT][:3]
    assert 1 <= first[2] - first[0] < 2, "RECONNECT was not given again after 1 s"
    world.wish(paused=True)
    world.lost_commands = 3
    world.run(5)
    _rest(world)


def checks_see_more(world: World) -> None:
    """Commands are lost for a while, and the connection for checks is a new one each time."""
    for bouncer in world.bouncers.values():
        bouncer.fickle = True
    world.move(old_lives=True)
    world.run(10)
    world.lost_commands = 4
    world.move(old_lives=True)
    world.run(60)
    _rest(world)


def _moves_without_one(world: World) -> Bouncer:
    """An instance takes a connection, and is not ready as the server moves a second later; returns it."""
    away = next(iter(world.bouncers.values()))
    away.fickle = True  # else the connection for checks, which is as old, tells
    for link in away.links:
        link.made = world.now
    world.run(1)
    away.ready = False
    world.move(old_lives=True)
    world.watch_breaks()
    world.run(20)
    assert world.view.status.reconnect is None
    assert world.view.status.reconnects[-1].unverified == [away.name]
    return away


def not_ready_as_it_moves(world: World) -> None:
    """It comes back after that."""
    _moves_without_one(world).ready = True
    _rest(world)


def not_ready_and_back_as_it_flaps(world: World) -> None:
    """It comes back while the new server is away for a moment, and is the very same after that."""
    away = _moves_without_one(world)
    world.host.up = False
    world.watch_breaks()
    world.run(2)
    world.host.up = away.ready = True
    _rest(world)


def demoted(world: World) -> None:
    """The server is demoted, answers, and stays so for a while."""
    world.move(old_lives=True)
    world.host.role = ServerRole.STANDBY
    world.run(80)
    assert world.view.status.reconnect is not None
    assert not world.given
    world.host.role = ServerRole.PRIMARY
    _rest(world)


def flaps(world: World) -> None:
    """The server is gone for a moment, and is the very same again."""
    world.host.up = False
    world.watch_breaks()
    world.run(1)
    world.host.up = True
    _rest(world)
    assert world.given == []
    assert len(world.view.status.reconnects) == 1


def moves_in_mid_verification(world: World) -> None:
    """The server moves once more before instances are verified."""
    for index in range(30):
        world.move(dns=0.5, old_lives=True)
        world.run(index / 15)
        world.lost_commands = index % 3
        world.move(dns=index / 20, old_lives=True)
        world.run(10)
    _rest(world)


SCRIPTS: Final = (
    moves, two_primaries, moves_with_long_transactions, an_instance_is_deaf, deaf_in_a_pause, pauses,
    pauses_as_an_instance_comes, goes_out, commands_are_lost, checks_see_more, demoted, flaps,
    not_ready_as_it_moves, not_ready_and_back_as_it_flaps, moves_in_mid_verification,
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """What is wrong, and on which way it shows."""

    what: str
    script: Callable[[World], None]
    module: Any
    name: str
    wrong: Any
    says: str


_seen, _next = verify._seen, pause._next


def _draining_is_right(*args: Any) -> Verdict:
    found = _seen(*args)
    return Verdict(Standing.RIGHT) if found.standing is Standing.DRAINING else found


def _forgets_that_it_is_over(spec: Any, status: Any, now: Any) -> Any:
    after, notices = _next(spec, status, now)
    return (None if after is not None and after.over else after), notices


def _takes_all(observed: Any) -> Any:
    return tuple(i for i in observed.instances if i.address is not None)


def _looks_from_before(state: Any, _observed: Any, _instance: Any) -> Any:
    return state.started_at


def _failed_ones_count(observed: Any, instance: str, *verbs: Verb) -> Any:
    results = [observed.kept.commands.get((instance, verb.value)) for verb in verbs]
    return max((r.at for r in results if r is not None), default=None)


MUTANTS: Final = (
    Mutant("kills at the second try", an_instance_is_deaf, reconnect, "_cuts_off", lambda n: n > 1, "KILL before"),
    Mutant("verifies once", moves, reconnect, "_confirm", reconnect._over, "still holds"),
    Mutant(
        "is over while old transactions run", moves_with_long_transactions, verify, "_seen", _draining_is_right, "holds"
    ),
    Mutant("resumes in a pause", deaf_in_a_pause, reconnect, "wants_pause", lambda *_: False, "middle of a pause"),
    Mutant("pauses for an hour", pauses, pause, "PAUSE_SECONDS", 3600.0, ""),
    Mutant("forgets that a pause is over", pauses, pause, "_next", _forgets_that_it_is_over, ""),
    Mutant("tells who is on the way out", goes_out, pause, "reachable", _takes_all, "on its way out"),
    Mutant("gives no command twice", commands_are_lost, pause, "may_tell", lambda *_: False, "paused: "),
    Mutant("does not tell again", commands_are_lost, reconnect, "may_tell", lambda *_: False, "RECONNECT was not"),
    Mutant("takes SELECT 1 for health", demoted, pool_roles, "is_right", lambda *_: True, ""),
    Mutant("takes looks from before", checks_see_more, verify, "_since", _looks_from_before, "still holds"),
    Mutant("takes failed commands for done", checks_see_more, verify, "told_at", _failed_ones_count, "holds"),
    Mutant("forgets who was not ready", not_ready_as_it_moves, triggers, "was_missed", lambda *_: None, "holds"),
    Mutant("does not see another identity", two_primaries, pool_roles, "one_server", lambda _: False, "holds"),
)


def world(interval: int = 1) -> World:
    made = World(interval=interval)
    made.run(10)
    return made


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.__name__)
@pytest.mark.parametrize("interval", [1, 60])
def test_the_planner_gets_through(script: Callable[[World], None], interval: int) -> None:
    made = world(interval)
    script(made)
    assert made.view.status.reconnect is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.what)
def test_a_wrong_planner_breaks_a_rule(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    made = world()
    monkeypatch.setattr(mutant.module, mutant.name, mutant.wrong)
    with pytest.raises((BrokenError, AssertionError)) as broken:
        mutant.script(made)
    assert mutant.says in str(broken.value)
