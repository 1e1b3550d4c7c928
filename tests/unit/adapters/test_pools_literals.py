"""What is left of a statement when texts are taken out of it."""

from __future__ import annotations

import pytest

from sophia_operator.adapters.postgres_literals import without_literals, without_values


@pytest.mark.parametrize(
    ("statement", "left"),
    [
        ("SELECT id FROM item WHERE id <= $1 AND a = $2", "SELECT id FROM item WHERE id <= $1 AND a = $2"),
        ("ALTER ROLE app PASSWORD 'canary'", "ALTER ROLE app PASSWORD '…'"),
        ("ALTER ROLE app PASSWORD 'ca''nary' VALID UNTIL 'x'", "ALTER ROLE app PASSWORD '…' VALID UNTIL '…'"),
        (r"ALTER ROLE app PASSWORD E'ca\'canary' LOGIN", "ALTER ROLE app PASSWORD '…' LOGIN"),
        ("ALTER ROLE app PASSWORD U&'canary'", "ALTER ROLE app PASSWORD U&'…'"),
        ("CREATE SUBSCRIPTION s CONNECTION 'host=db password=can", "CREATE SUBSCRIPTION s CONNECTION '…'"),
        (r"SELECT E'canary\\", "SELECT '…'"),
        ("DO $$ can't $$ LANGUAGE sql", "DO '…' LANGUAGE sql"),
        ("DO $a$ $$canary$$ ' $a$; SELECT 1", "DO '…'; SELECT 1"),
        ("DO $a$ canary", "DO '…'"),
        ("SELECT \"it's\" FROM t WHERE a = 'canary'", "SELECT \"it's\" FROM t WHERE a = '…'"),
        ("SELECT 1 -- don't\n, 'canary'", "SELECT 1  \n, '…'"),
        ("/* user='canary' */ SELECT 'canary'", "  SELECT '…'"),
        ("SELECT 1 /* cut off: canary", "SELECT 1  "),
        ("SELECT a$b$c, some'canary'", "SELECT a$b$c, some'…'"),
        ("", ""),
    ],
)
def test_texts_are_taken_out(statement: str, left: str) -> None:
    assert without_literals(statement) == left


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT * FROM t1 WHERE id = 4711 AND x > -1.5e+3", "SELECT * FROM t1 WHERE id = … AND x > -…"),
        ("SELECT $1, .5, 0x1F, 1_000 FROM a2b", "SELECT $1, …, …, … FROM a2b"),
        ('SELECT "col 7" FROM "2024" LIMIT 10', 'SELECT "col 7" FROM "2024" LIMIT …'),
        ("SELECT 1 /* a /* b */ secret */ FROM t", "SELECT …  "),
        (r"SELECT 'it\'s secret', 'x'", "SELECT '…'"),
        ("SELECT 'cut sec", "SELECT '…'"),
        ("SELECT 1 -- user 42", "SELECT …  "),
    ],
)
def test_no_value_of_a_statement_that_runs_is_shown(statement: str, shown: str) -> None:
    assert without_values(statement) == shown
    assert "secret" not in without_values(statement)
