"""How far the walk reaches: `python -m tests.model.reach [examples [steps]]` prints the table for the documentation."""

from __future__ import annotations

import sys
from collections import Counter
from time import process_time

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import QUICK, REACHED, RolloutMachine

#: Counts over all examples; everything else is the number of examples in which it was reached.
TOTALS = ("examples", "passes", "writes and questions")


def measure(examples: int, steps: int) -> Counter[str]:
    """Walk the same way each time, and count."""
    before = Counter(REACHED)
    same = settings(QUICK, max_examples=examples, stateful_step_count=steps, derandomize=True)
    run_state_machine_as_test(RolloutMachine, settings=same)
    return REACHED - before


def main() -> None:
    """Print what was reached, the most frequent first."""
    arguments = [int(a) for a in sys.argv[1:]]
    examples, steps = [*arguments, *(1000, 40)[len(arguments) :]]
    began = process_time()
    reached = measure(examples, steps)
    print(", ".join(f"{reached[what]} {what}" for what in TOTALS), f"in {process_time() - began:.0f} s")  # noqa: T201
    for what, count in reached.most_common():
        if what not in TOTALS:
            print(f"{100 * count / reached['examples']:6.1f} %  {what}")  # noqa: T201


if __name__ == "__main__":
    main()
