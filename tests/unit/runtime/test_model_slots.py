"""Which probes begin, and in what order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sophia_operator.runtime.models.slots import ProbeSlots, Rank


class Probes:
    """Probes that go on until they are let go."""

    def __init__(self, slots: ProbeSlots) -> None:
        self.slots = slots
        self.begun: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.ends: dict[str, asyncio.Event] = {}

    def start(self, name: str, rank: Rank = Rank.STANDS_BY, owner: str | None = None) -> None:
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._probe(name, rank, owner or name))

    async def _probe(self, name: str, rank: Rank, owner: str) -> None:
        async with self.slots.taken(rank, owner):
            self.begun.append(name)
            await self.ends[name].wait()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await self.tasks[name]
        await settle()

    async def close(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


async def settle(until: Callable[[], bool] = lambda: False) -> None:
    for _ in range(20):
        if until():
            return
        await asyncio.sleep(0)


async def test_so_many_begin_at_once_and_the_next_when_one_ends() -> None:
    probes = Probes(ProbeSlots(at_once=2, held_seconds=60))
    for name in "abc":
        probes.start(name)
    await settle()
    assert probes.begun == ["a", "b"]
    await probes.end("a")
    assert probes.begun == ["a", "b", "c"]
    await probes.close()
    assert probes.slots.running == 0


async def test_a_model_that_serves_and_fails_goes_first() -> None:
    probes = Probes(ProbeSlots(at_once=1, held_seconds=60))
    probes.start("first")
    await settle()
    probes.start("by")
    probes.start("serves", Rank.SERVES)
    probes.start("fails", Rank.SERVES_AND_FAILS)
    await settle()
    for name in ("first", "fails", "serves"):
        await probes.end(name)
    assert probes.begun == ["first", "fails", "serves", "by"]
    await probes.close()


async def test_one_that_hangs_makes_room_for_others() -> None:
    probes = Probes(ProbeSlots(at_once=1, held_seconds=0))
    probes.start("hangs")
    probes.start("next")
    async with asyncio.timeout(5):
        while len(probes.begun) < 2:
            await asyncio.sleep(0)
    assert probes.slots.running == 2
    await probes.close()
    assert probes.slots.running == 0


async def test_there_is_a_most_of_which_a_part_is_left_for_models_that_serve_and_fail() -> None:
    probes = Probes(ProbeSlots(at_once=10, most=2, reserved=1, held_seconds=60))
    for name in "abc":
        probes.start(name)
    probes.start("fails", Rank.SERVES_AND_FAILS)
    probes.start("fails too", Rank.SERVES_AND_FAILS)
    await settle()
    assert probes.begun == ["a", "b", "fails"]
    await probes.end("a")
    assert probes.begun == ["a", "b", "fails", "fails too"]
    await probes.close()


async def test_one_that_is_cut_off_while_it_waits_takes_no_slot() -> None:
    probes = Probes(ProbeSlots(at_once=1, held_seconds=60))
    for name in "abc":
        probes.start(name)
    await settle()
    probes.tasks["b"].cancel()
    await settle()
    await probes.end("a")
    assert probes.begun == ["a", "c"]
    # Let in, and cut off before it knows.
    probes.start("d")
    await settle()
    probes.ends["c"].set()
    await settle(probes.tasks["c"].done)
    probes.tasks["d"].cancel()
    await settle()
    assert probes.slots.running == 0
    probes.start("e")
    await settle()
    assert probes.begun[-1] == "e"
    await probes.close()


async def test_an_owner_whose_models_all_hang_keeps_nobody_else_from_asking() -> None:
    probes = Probes(ProbeSlots(at_once=99, most=8, reserved=2, held_seconds=60))
    for number in range(20):
        probes.start(f"hangs-{number}", owner="shop")
    await settle()
    assert len(probes.begun) == 4, "half of all is for those who have little"
    for name in "abc":
        probes.start(name, owner="other")
    probes.start("d", owner="third")
    await settle()
    assert probes.begun[4:] == ["a", "b", "d"], "and of that, too, nobody takes all"
    probes.start("serves and fails", Rank.SERVES_AND_FAILS, owner="other")
    await settle()
    assert probes.begun[7:] == []
    await probes.end("a")
    assert probes.begun[7:] == ["serves and fails"]
    # One alone takes what is left by those that end.
    for name in ("b", "d"):
        await probes.end(name)
    await probes.close()
    assert probes.slots.running == 0
    assert not probes.slots._held
    assert not probes.slots._waiting


async def test_who_has_fewest_goes_first_of_those_that_are_as_urgent() -> None:
    probes = Probes(ProbeSlots(at_once=2, held_seconds=60))
    for name in ("a", "b", "c", "d"):
        probes.start(name, owner="shop")
    await settle()
    probes.start("e", owner="other")
    probes.start("f", Rank.SERVES, owner="shop")
    await settle()
    for name in ("a", "b"):
        await probes.end(name)
    assert probes.begun == ["a", "b", "f", "e"]
    await probes.close()
