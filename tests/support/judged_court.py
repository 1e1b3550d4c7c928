"""The modules that judge models, of which one may be wrong, and what the right ones get through."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.model_route_status import ModelState, ModelStatus
from sophia_operator.core.model.findings import ModelFinding, QualityFinding
from sophia_operator.core.views import Blocker
from tests.support.model_watch import Watch, answer, at, failure, found, model, spec, tally, values

_PACKAGE: Final = "sophia_operator.core.model"
#: In the order in which they import each other.
_MODULES: Final = ("evidence", "wording", "health", "score", "rank")
PASSIVE: Final = {"metrics": {"preset": "LiteLLM"}}


class Court:
    """Modules that judge, of which one may be wrong."""

    def __init__(self, modules: dict[str, ModuleType]) -> None:
        self.judge: Any = modules["rank"].judge
        self.remember: Any = modules["evidence"].remember

    def watch(self, *models: dict[str, Any], **changes: Any) -> Watch:
        """A route that they judge."""
        return Watch(spec(*models, **changes), judge=self.judge, remember=self.remember)


@contextmanager
def court(wrong: str | None = None, old: str = "", new: str = "") -> Iterator[Court]:
    """The modules anew, one of them with other words in its source."""
    names = [f"{_PACKAGE}.{name}" for name in _MODULES]
    right = {name: sys.modules[name] for name in names}
    try:
        made = {}
        for name, full in zip(_MODULES, names, strict=True):
            source = Path(str(right[full].__file__)).read_text()
            if name == wrong:
                assert source.count(old) == 1, f"{old!r} is there {source.count(old)} times in {name}"
                source = source.replace(old, new)
            file = importlib.util.spec_from_file_location(full, right[full].__file__)
            assert file is not None
            made[name] = importlib.util.module_from_spec(file)
            sys.modules[full] = made[name]
            exec(compile(source, str(right[full].__file__), "exec"), made[name].__dict__)
        yield Court(made)
    finally:
        sys.modules.update(right)


def states(probes: str, expected: str, **changes: Any) -> Callable[[Court], None]:
    """How the model is after each probe."""

    def check(by: Court) -> None:
        assert by.watch(**changes).play(probes) == expected

    return check


def parts(name: str, expected: dict[str, str], *models: dict[str, Any], **ms: float) -> Callable[[Court], None]:
    """A part of each model's score."""

    def check(by: Court) -> None:
        watch = by.watch(*models)
        for who, one in ms.items():
            watch.put(who, answer(one))
        ranking = watch.look()
        assert {n: values(ranking, n)[name] for n in expected} == expected

    return check


def pauses(by: Court) -> None:
    for asked, lasts in [(None, 30), (86_400, 600), (5, 5)]:
        watch = by.watch()
        watch.put("a", failure("4", retry_after=asked))
        assert watch.look().health["a"].paused_until == at(lasts)


def pause_outlives_a_restart(by: Court) -> None:
    watch = by.watch()
    watch.put("a", failure("4", retry_after=100))
    watch.look()
    watch.restart()
    assert watch.play("..") == "PP"
    watch.missing["a"] = Blocker(Reason.SECRET_NOT_FOUND, "gone")
    watch.look()
    watch.missing = {}
    assert watch.play(".") == "P"


def restarts(by: Court) -> None:
    watch = by.watch()
    assert watch.play("SFF") == "HHF"
    watch.restart()
    assert watch.play("F") == "U"
    watch.restart()
    assert watch.play("..SF") == "UUUU"


def secret_is_away(by: Court) -> None:
    watch = by.watch()
    assert watch.play("SSSFFF") == "HHHHFU"
    watch.missing["a"] = Blocker(Reason.SECRET_NOT_FOUND, "gone")
    assert watch.look().health["a"].reason is Reason.SECRET_NOT_FOUND
    watch.missing = {}
    watch.restart()
    assert watch.play("SS") == "??"


def users_fail(by: Court) -> None:
    for requests, failed, state in [(50, 12, "F"), (50, 11, "H"), (3, 1.33, "H"), (4, 9, "F"), (float("nan"), 3, "H")]:
        watch = by.watch(**PASSIVE)
        watch.play("SSSSSS")
        watch.count(a=tally(requests, failed))
        assert watch.play(".") == state, (requests, failed)
        assert (watch.look().health["a"].requests > 6) == (state == "F" or requests > 0)


def users_wait(by: Court) -> None:
    for requests, p95, probes, state in [(50, 3000, "SSSS", "F"), (50, 9, "SSLLS", "H"), (4, 9, "SSLLLS", "F"),
                                         (2, 3000, "SSSS", "H")]:  # fmt: skip
        watch = by.watch(switch={"maxP95Ms": 2000}, **PASSIVE)
        watch.models = [ModelStatus(name="a", state=ModelState.HEALTHY)]
        watch.probes["a"] = found(probes, every=1)
        watch.seconds = len(probes)
        watch.count(a=tally(requests, 0, p95))
        assert watch.play(".") == state, (requests, p95, probes)


def prometheus_is_away(by: Court) -> None:
    watch = by.watch(**PASSIVE)
    watch.play("SSSSSS")
    watch.count(a=tally(50, 40))
    assert watch.play("S") == "F"
    watch.passive = None
    assert watch.play("F" + "SSSSS") == "UUUUUU"
    old = by.watch(**PASSIVE)
    old.count(a=tally(50, 40))
    old.seconds += 61
    old.play("S")
    assert old.look().health["a"].requests == 1


def prometheus_is_away_while_failing(by: Court) -> None:
    watch = by.watch(**PASSIVE)
    watch.play("SSSSSS")
    watch.count(a=tally(50, 40))
    assert watch.play("S") == "F"
    watch.passive = None
    assert watch.play("S") == "F"


def nothing_is_known(by: Court) -> None:
    watch = by.watch(model("a"), model("b"))
    assert watch.look().order == ("a", "b")
    watch.put("a", failure())
    assert watch.look().order == ()
    watch.put("b", answer())
    assert watch.look().order == ("b",)


def who_lacks_something(by: Court) -> None:
    watch = by.watch(model("a"), model("b", capabilities=["tools"]), requires=["tools"])
    watch.play("S", b="S")
    assert watch.look().order == ("b",)


def is_remembered(by: Court) -> None:
    rows = tuple(ModelFinding(at(i), failure("F")) for i in range(2))
    assert by.remember(rows, at(9999), 60) == rows
    watch = by.watch(switch={"windowSeconds": 5})
    assert watch.play("SFFF") == "HHFU"


def no_more_probes(by: Court) -> None:
    watch = by.watch()
    watch.play("SF", every=1)
    watch.put("a", failure())
    watch.seconds += 100
    assert watch.play(".") == "H"


def old_answer(by: Court) -> None:
    watch = by.watch()
    watch.play("S")
    watch.missing["a"] = Blocker(Reason.SECRET_NOT_FOUND, "gone")
    watch.look()
    watch.missing = {}
    watch.seconds += 3600
    assert watch.play(".S") == "?H"


def best_of_those_who_may(by: Court) -> None:
    watch = by.watch(model("a", costPer1kTokens="2"), model("b", costPer1kTokens="1"))
    watch.play("S", b="S")
    watch.missing["b"] = Blocker(Reason.SECRET_NOT_FOUND, "gone")
    assert values(watch.look())["cost"] == "1"


def few_requests(by: Court) -> None:
    watch = by.watch(model("a"), model("b"), **PASSIVE)
    watch.count(a=tally(3), b=tally(1000))
    ranking = watch.look()
    assert (values(ranking)["reliability"], values(ranking, "b")["reliability"]) == ("0.923077", "0.99901")


def measured_quality(by: Court) -> None:
    watch = by.watch(model("a", qualityQuery="x"))
    steps: list[tuple[float | str, str]] = [(0.8, "0.8"), ("away", "0.8"), (float("nan"), "0.8"), (7.0, "1")]
    for value, expected in steps:
        watch.qualities["a"] = QualityFinding(at(0), value)
        assert values(watch.look())["quality"] == expected


def users_do_not_make_slow(by: Court) -> None:
    watch = by.watch(model("a"), model("b"), **PASSIVE)
    watch.play("SSS", b="SSS")
    watch.count(a=tally(1000, 0, 9000))
    assert values(watch.look())["latency"] == "1"


def equal_ones(by: Court) -> None:
    watch = by.watch(model("z"), model("a"))
    assert watch.look().order == ("z", "a")
    better = by.watch(model("z"), model("a", quality="1"))
    assert better.look().order == ("a", "z")


def since_when(by: Court) -> None:
    watch = by.watch()
    watch.play("SSS")
    assert watch.models[0].healthy_since == at(0)
    assert watch.play("FFSSSSSS") == "HFUUUUUH"
    assert watch.models[0].healthy_since == at(100)


def order_of_evidence(by: Court) -> None:
    watch = by.watch()
    rows = [ModelFinding(at(-i), answer() if i > 1 else failure()) for i in range(20)]
    watch.probes["a"] = tuple(rows)
    watch.look()
    assert watch.play(".") == "?"


HOUR: Final = {"switch": {"windowSeconds": 3600}}
COSTS: Final = (model("a", costPer1kTokens="0"), model("b", costPer1kTokens="3"), model("c"))
blip = states("SFSSSSS", "HHHHHHH")
slow_blip = states("SLSSSSS", "HHHHHHH", switch={"maxP95Ms": 1000})
two_in_a_row = states("SSSFFF", "HHHHFU")
share = states("SFSFSF", "HHHFUU")
fails_with_few = states("SFFSS", "HHFHH", switch={"minRequests": 100})
is_slow = states("SSLLL", "HHHFU", switch={"maxP95Ms": 2000})


def answers_slowly(by: Court) -> None:
    """Probes that take long come less often: fewer of them are in a window."""
    watch = by.watch()
    watch.play("SSFFF")
    assert watch.play("SSSSS", every=14) == "UUUUH"


never_asked = states("..S", "??H")
at_its_limit = states("SFSFSF", "HHHHHH", switch={"maxErrorPercent": 50})
never_worked = states("FFFF", "??UU")
comes_back = states("SSSFFFSSSSSSS", "HHHHFUUUUUUHH")
proves_itself = states("F" * 20 + "S" * 14, "??" + "U" * 31 + "H", **HOUR)
comes_and_goes = states("FFFSSSFSSSFSSSFSSSSSFSSSSSF", "??" + "U" * 25)
has_to_wait = states("SS4S4FFF", "HHPHPPPU")
is_refused = states("SSCFS", "HHRRH")
latency = parts("latency", {"a": "1", "b": "0.5"}, model("a"), model("b"), a=100, b=200)
middle = parts("latency", {"c": "0.75"}, model("a"), model("b"), model("c"), a=100, b=200)
cost = parts("cost", {"a": "1", "b": "0", "c": "0.5"}, *COSTS)
