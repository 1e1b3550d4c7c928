"""Prometheus's own tester of rules: samples of series go in, and what the rules make of them is asked."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.component.prometheus.server import program

#: Seconds between two samples, and between two evaluations.
STEP: Final = 30


def check_rules(
    folder: Path, rules: Any, series: Sequence[Mapping[str, str]], looks: Sequence[Mapping[str, object]]
) -> None:
    """Assert that `looks` hold of the rules (their `groups`), given the samples. Works in `folder`."""
    # JSON is YAML, too.
    (folder / "rules.yaml").write_text(json.dumps(rules))
    test = {"interval": f"{STEP}s", "input_series": series, "promql_expr_test": looks}
    whole = {"rule_files": ["rules.yaml"], "evaluation_interval": f"{STEP}s", "tests": [test]}
    (folder / "test.yaml").write_text(json.dumps(whole))
    command = [str(program("promtool")), "test", "rules", str(folder / "test.yaml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
