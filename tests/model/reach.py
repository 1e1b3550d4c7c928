"""How far the walk reaches: `python -m tests.model.reach` prints the table for docs/design/model-test.md.

MODEL_EXAMPLES, MODEL_STEPS and MODEL_SEED say how far to walk, and which way.
"""

from __future__ import annotations

import os
from collections import Counter
from time import process_time
from typing import Final

from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import EXAMPLES, PROFILE, REACHED, STEPS, RolloutMachine

#: Counts over all examples; everything else is the number of examples in which it was reached.
TOTALS: Final = ("examples", "passes", "writes and questions")
#: Every run walks the same ways: not those that the framework derives from the source, which are others after any edit.
SEED: Final = int(os.environ.get("MODEL_SEED", "2"))


def measure(examples: int, steps: int, *, shrink: bool = True) -> Counter[str]:
    """Walk, and count. Raises InvariantError when a rule is broken."""
    before = Counter(REACHED)
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    profile = settings(
        PROFILE,
        max_examples=examples,
        stateful_step_count=steps,
        phases=phases,
        database=None,
        report_multiple_bugs=False,
        derandomize=False,
    )
    machine: type[RolloutMachine] = seed(SEED)(type("RolloutMachine", (RolloutMachine,), {}))
    run_state_machine_as_test(machine, settings=profile)
    return REACHED - before


def main() -> None:
    """Print what was reached, the most frequent first."""
    began = process_time()
    reached = measure(EXAMPLES, STEPS)
    print(", ".join(f"{reached[what]} {what}" for what in TOTALS), f"in {process_time() - began:.0f} s")  # noqa: T201
    for what, count in reached.most_common():
        if what not in TOTALS:
            print(f"{100 * count / reached['examples']:6.1f} %  {what}")  # noqa: T201


if __name__ == "__main__":
    main()
