"""`kubectl sophia lint`: what it finds, where, in which words, and with which exit code.

That it agrees with the API server is held by tests/api.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from sophia_operator.cli.lint import check_files, check_text, lint_files, run

GOOD = """\
apiVersion: sophia.ai/v1alpha1
kind: ManagedService
metadata:
  name: shop
spec:
  template: {}
  ports:
    - name: http
      port: 80
  traffic:
    none: {}
"""


def found(text: str) -> list[str]:
    return [str(finding) for finding in check_text(text, "f.yaml").findings]


def with_rollout(*lines: str) -> str:
    return GOOD + "  rollout:\n" + "".join(f"    {line}\n" for line in lines)


def test_a_good_object_has_no_findings() -> None:
    report = check_text(GOOD, "f.yaml")
    assert (report.objects, report.findings) == (1, [])


def test_an_unknown_field_is_told_with_the_one_that_was_meant() -> None:
    assert found(GOOD + "  replica: 3\n") == ["f.yaml:12:3: spec.replica: unknown field; did you mean replicas?"]
    assert found(with_rollout("progress_deadline_seconds: 9")) == [
        "f.yaml:13:5: spec.rollout.progress_deadline_seconds: unknown field; did you mean progressDeadlineSeconds?"
    ]
    assert found(GOOD + "  zebra: 3\n") == ["f.yaml:12:3: spec.zebra: unknown field"]


def test_a_required_field_is_told_where_it_belongs() -> None:
    assert found(GOOD.replace("      port: 80\n", "")) == ["f.yaml:8:7: spec.ports[0].port: required"]


def test_types_are_as_strict_as_in_the_cluster() -> None:
    assert found(GOOD + '  replicas: "3"\n') == ['f.yaml:12:3: spec.replicas: must be an integer, not "3"']
    assert found(GOOD + "  replicas: true\n") == ["f.yaml:12:3: spec.replicas: must be an integer, not true"]
    assert found(with_rollout("maxUnavailable: 1.5")) == [
        "f.yaml:13:5: spec.rollout.maxUnavailable: must be an integer or must be a string, not 1.5"
    ]


def test_bounds_are_told_with_the_value() -> None:
    assert found(GOOD.replace("80", "70000")) == [
        "f.yaml:9:7: spec.ports[0].port: must be less than or equal to 65535, not 70000"
    ]


def test_nulls_mean_absent() -> None:
    assert found(GOOD + "  rollout:\n  paused: ~\n") == []


def test_rules_over_fields_are_told_in_the_words_of_the_cluster() -> None:
    text = with_rollout("stages:", "  - weightPercent: 50", "  - weightPercent: 20")
    assert found(text) == ["f.yaml:13:5: spec.rollout.stages: stages must rise and end at 100"]


def test_a_pool_is_checked_with_lines_and_remedies() -> None:
    pool = """\
apiVersion: sophia.ai/v1alpha1
kind: ConnectionPool
metadata:
  name: orders
spec:
  database:
    host: db.example.com
    name: orders
    password: hunter2
    credentialsSecretRef:
      name: orders-db
  mode: transaction
  instances: 3
  size:
    min: 1
    max: 2
"""
    assert found(pool) == [
        "f.yaml:9:5: spec.database.password: unknown field",
        "f.yaml:12:3: spec.mode: must be 'Transaction', 'Session' or 'Statement', not \"transaction\"",
    ]
    mended = pool.replace("    password: hunter2\n", "").replace("transaction", "Transaction")
    assert found(mended) == [
        "f.yaml:5:1: spec: size.max must be at least instances: each instance needs a server connection"
    ]


def test_bindings_that_cannot_be_mounted_are_told_though_the_api_server_would_take_them() -> None:
    bound = GOOD.replace("{}\n  ports", "{spec: {containers: [{name: app}]}}\n  ports")
    bound += "  bindings:\n    pools:\n      - name: orders\n        containers: [app, worker]\n"
    assert found(bound) == [
        "f.yaml:12:3: spec.bindings: spec.bindings.pools names container worker for orders, which spec.template does "
        "not have: mend the name, or take it away"
    ]
    assert found(bound.replace(", worker", "")) == []


def test_twins_are_told_with_their_first() -> None:
    text = GOOD.replace("  traffic:", "    - name: http\n      port: 81\n  traffic:")
    assert found(text) == ["f.yaml:10:7: spec.ports[1]: a duplicate of spec.ports[0]"]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (("name: shop", "name: Shop"), "f.yaml:4:3: metadata.name: must hold only a-z, 0-9, - and ., and start and "),
        (("name: shop", "name: 3"), "f.yaml:4:3: metadata.name: must be a string, not 3"),
        (("name: shop", "nam: shop"), "f.yaml:3:1: metadata.name: required"),
        (
            ("name: shop", "name: shop\n  labels: {a: 1}"),
            "f.yaml:5:12: metadata.labels.a: must be a string, not 1;",
        ),
        (("name: shop", "name: shop\n  labels: [a]"), "f.yaml:5:3: metadata.labels: must be an object"),
        (
            ("name: shop", "name: shop\n  lables: {}"),
            "f.yaml:5:3: metadata.lables: unknown field; did you mean labels?",
        ),
        (("metadata:\n  name: shop", "metadata: shop"), "f.yaml:3:1: metadata: required, with a name"),
        (("v1alpha1", "v1"), "f.yaml:1:1: apiVersion: must be sophia.ai/v1alpha1"),
        (("sophia.ai/", "sofia.ai/"), "f.yaml:1:1: apiVersion: must be sophia.ai/v1alpha1"),
        (("ManagedService", "ManagdService"), "f.yaml:2:1: kind: no kind ManagdService in sophia.ai; did you mean Man"),
        (("  template: {}", "  template: {}\n  template: {}"), "f.yaml:7:3: spec.template: is there twice"),
    ],
)
def test_the_frame_of_an_object_is_checked(change: tuple[str, str], finding: str) -> None:
    assert any(line.startswith(finding) for line in found(GOOD.replace(*change))), found(GOOD.replace(*change))


def test_a_generated_name_is_a_name() -> None:
    assert found(GOOD.replace("name: shop", "generateName: shop-")) == []


@pytest.mark.parametrize("text", ["a: b", "- 1", "just words", "apiVersion: v1\nkind: Secret\n", "kind: Release\n"])
def test_objects_of_others_are_passed_over(text: str) -> None:
    report = check_text(text, "f.yaml")
    assert (report.objects, report.findings) == (0, [])


def test_lists_are_looked_into() -> None:
    items = "\n".join(f"    {line}" for line in GOOD.replace("port: 80", "port: 0").splitlines())
    text = f"apiVersion: v1\nkind: List\nitems:\n  -\n{items}\n"
    assert found(text) == ["f.yaml:13:11: spec.ports[0].port: must be greater than or equal to 1, not 0"]


def test_every_document_of_a_file_is_checked() -> None:
    text = f"{GOOD}---\n{GOOD.replace('port: 80', 'port: 0')}"
    assert found(text) == ["f.yaml:21:7: spec.ports[0].port: must be greater than or equal to 1, not 0"]


def test_broken_yaml_is_a_finding_of_its_line_beside_those_before_it() -> None:
    lines = found(GOOD.replace("port: 80", "port: 0") + "---\na: [\n")
    assert [line.split(": ")[0] for line in lines] == ["f.yaml:9:7", "f.yaml:14:1"]


def test_folders_are_searched_for_files_of_objects(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/a.yaml").write_text(GOOD)
    (tmp_path / "b.json").write_text(json.dumps({"apiVersion": "sophia.ai/v1alpha1", "kind": "Release"}))
    (tmp_path / "notes.txt").write_text("a: [")
    report = check_files([tmp_path])
    assert report.objects == 2
    assert {finding.file for finding in report.findings} == {str(tmp_path / "b.json")}
    assert lint_files([tmp_path]) == report.findings


def test_the_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(GOOD))
    assert check_files([Path("-")]).objects == 1


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad, binary = tmp_path / "good.yaml", tmp_path / "bad.yaml", tmp_path / "binary.yaml"
    good.write_text(GOOD)
    bad.write_text(GOOD + "  replicas: -1\n")
    binary.write_bytes(b"\xff\xfe")
    assert run([good]) == 0
    assert capsys.readouterr().out == "1 object checked, nothing found\n"
    assert run([good, bad]) == 1
    assert capsys.readouterr().out == f"{bad}:12:3: spec.replicas: must be greater than or equal to 0, not -1\n"
    assert run([tmp_path / "gone.yaml"]) == 2
    assert run([binary]) == 2
    assert "not UTF-8" in capsys.readouterr().err


def test_json_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(GOOD + "  replicas: -1\n")
    assert run([bad], "json") == 1
    assert json.loads(capsys.readouterr().out) == {
        "objects": 1,
        "findings": [
            {
                "file": str(bad),
                "line": 12,
                "column": 3,
                "path": "spec.replicas",
                "message": "must be greater than or equal to 0, not -1",
            }
        ],
    }
