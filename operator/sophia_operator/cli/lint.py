"""`kubectl sophia lint`: checks files without a cluster, by the same models that the CRDs are made from.

What only the cluster can know stays unchecked: the pod template, whether a Gateway or a Secret exists, and what
must not change from the object that is already there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, TextIO

from sophia_operator.cli.object_check import Problem, check_object, is_ours, path_text
from sophia_operator.cli.yaml_source import Document, SourceError, read_documents

EXIT_CLEAN: Final = 0
EXIT_FINDINGS: Final = 1
EXIT_UNREADABLE: Final = 2

SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


class LintError(Exception):
    """A file cannot be read at all."""


@dataclass(frozen=True, order=True)
class Finding:
    """One mistake. `line` and `column` count from 1; `path` is the field, as in `spec.ports[0].name`."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.path}: {self.message}"


@dataclass(frozen=True)
class Report:
    """What was found, and how many objects of the group were looked at."""

    objects: int
    findings: list[Finding]


def lint_files(paths: Iterable[Path]) -> list[Finding]:
    """Every mistake in these files, in order. Raises `LintError` if one cannot be read. See `check_files`."""
    return check_files(paths).findings


def check_files(paths: Iterable[Path]) -> Report:
    """Check files, and folders with all `.yaml`, `.yml` and `.json` files below them; `-` is the standard input.

    Objects of other groups are passed over. Raises `LintError` if a file cannot be read.
    """
    reports = [check_text(text, name) for name, text in _texts(paths)]
    return Report(
        objects=sum(report.objects for report in reports),
        findings=[finding for report in reports for finding in report.findings],
    )


def check_text(text: str, file: str) -> Report:
    """Check the text of one file, which findings call `file`."""
    objects = 0
    findings: list[Finding] = []
    try:
        for document in _objects(read_documents(text)):
            if not is_ours(document.value):
                continue
            objects += 1
            findings += [_finding(file, document, problem) for problem in check_object(document)]
    except SourceError as error:
        findings.append(Finding(file, error.position.line, error.position.column, "(file)", str(error)))
    return Report(objects, sorted(set(findings)))


def run(paths: Sequence[Path], output: Literal["text", "json"] = "text", to: TextIO | None = None) -> int:
    """Check, print, and return the exit code: 0 nothing found, 1 mistakes found, 2 a file could not be read."""
    out = to or sys.stdout
    try:
        report = check_files(paths)
    except LintError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_UNREADABLE
    if output == "json":
        print(
            json.dumps({"objects": report.objects, "findings": [asdict(f) for f in report.findings]}, indent=2),
            file=out,
        )
    else:
        for finding in report.findings:
            print(finding, file=out)
        if not report.findings:
            print(f"{report.objects} object{'' if report.objects == 1 else 's'} checked, nothing found", file=out)
    return EXIT_FINDINGS if report.findings else EXIT_CLEAN


def _texts(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        if str(path) == "-":
            yield "(standard input)", sys.stdin.read()
            continue
        files = [path]
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES)
        for file in files:
            try:
                yield str(file), file.read_text(encoding="utf-8")
            except OSError as error:
                raise LintError(f"cannot read {file}: {error.strerror}") from error
            except UnicodeDecodeError as error:
                raise LintError(f"cannot read {file}: not UTF-8 text") from error


def _objects(documents: Iterable[Document]) -> Iterator[Document]:
    """The documents, with the items of a List in its place."""
    for document in documents:
        value = document.value
        if isinstance(value, dict) and value.get("kind") == "List" and isinstance(value.get("items"), list):
            yield from (document.within(("items", index)) for index in range(len(value["items"])))
        else:
            yield document


def _finding(file: str, document: Document, problem: Problem) -> Finding:
    position = document.position(problem.path)
    return Finding(file, position.line, position.column, path_text(problem.path), problem.message)
