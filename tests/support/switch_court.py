"""The planner of switches anew, one of its modules with other words in its source."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

from sophia_operator.core.model import acts as right_acts
from sophia_operator.core.model import plan as right_plan
from sophia_operator.core.model import switches
from sophia_operator.core.model.plan_values import SwitchPlan

#: In the order in which they import each other.
_PARTS: Final = (
    "scene", "standing", "moves", "holds", "fallbacks", "least_bad", "proof", "stages", "first", "better", "choose",
    "draft", "record", "waits", "revise",
)  # fmt: skip
PlanSwitch = Callable[..., SwitchPlan]


@contextmanager
def planner(wrong: str, old: str, new: str) -> Iterator[PlanSwitch]:
    """`plan_switch`, with `new` instead of `old` in the module `wrong`: `plan`, `acts`, or one of its parts."""
    names = {part: f"{switches.__name__}.{part}" for part in _PARTS}
    names |= {"acts": right_acts.__name__, "plan": right_plan.__name__}
    right = {part: sys.modules[name] for part, name in names.items()}
    try:
        made = {}
        for part, name in names.items():
            made[part] = _made(right[part], old if part == wrong else "", new)
            sys.modules[name] = made[part]
            _run(made[part], right[part], old if part == wrong else "", new)
            if part in _PARTS:
                setattr(switches, part, made[part])
        assert wrong in made
        yield made["plan"].plan_switch
    finally:
        for part, name in names.items():
            sys.modules[name] = right[part]
            if part in _PARTS:
                setattr(switches, part, right[part])


def _made(right: ModuleType, old: str, new: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(right.__name__, right.__file__)
    assert found is not None
    assert old != new or not old
    return importlib.util.module_from_spec(found)


def _run(made: ModuleType, right: ModuleType, old: str, new: str) -> None:
    source = Path(str(right.__file__)).read_text(encoding="utf-8")
    if old:
        assert source.count(old) == 1, f"{old!r} is there {source.count(old)} times in {right.__name__}"
        source = source.replace(old, new)
    exec(compile(source, str(right.__file__), "exec"), made.__dict__)
