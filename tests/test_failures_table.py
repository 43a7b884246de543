"""Each row of ``docs/failures.md`` names a test that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
COLUMNS = 6
ROWS = [
    line.strip("|").split("|")
    for line in TABLE.splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| what breaks"))
]


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in tree.body if isinstance(node, functions)}


def named(row: list[str]) -> tuple[str, str]:
    found = re.fullmatch(r" `(tests/[\w/]+\.py)::(test_\w+)` ", row[-1])
    assert found is not None, row
    return found[1], found[2]


def test_every_row_is_whole_and_its_test_exists() -> None:
    assert len(ROWS) > 30
    assert [row for row in ROWS if len(row) != COLUMNS] == []
    missing = [
        f"{path}::{name}"
        for path, name in map(named, ROWS)
        if not (ROOT / path).is_file() or name not in functions_of(ROOT / path)
    ]
    assert missing == []


def test_no_failure_stands_there_twice() -> None:
    failures = [row[0].strip() for row in ROWS]
    assert sorted(set(failures)) == sorted(failures)
