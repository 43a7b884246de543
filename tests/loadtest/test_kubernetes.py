"""The Job manifest: its structure, its shell, and commands that the program takes.

No YAML parser is among the dependencies, so the documents are read by their indentation.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

import loadtest
from loadtest.harness.cli import loadtest_group

MANIFEST = Path(loadtest.__file__).parent / "kubernetes" / "job.yaml"
TEXT = MANIFEST.read_text(encoding="utf-8")
DOCUMENTS = TEXT.split("\n---\n")


def values(document: str, key: str) -> list[str]:
    return re.findall(rf"^ *(?:- )?{key}: *(\S.*)$", document, re.MULTILINE)


def scripts() -> list[str]:
    """The folded scalars under ``args``, as YAML folds them: lines joined by spaces."""
    blocks = re.findall(r"^( *)- >-\n((?:\1  +\S.*\n)+)", TEXT, re.MULTILINE)
    return [" ".join(line.strip() for line in text.splitlines()) for _, text in blocks]


def test_the_documents_are_a_volume_and_two_jobs() -> None:
    kinds = [
        (values(one, "apiVersion")[0], values(one, "kind")[0], values(one, "name")[0])
        for one in DOCUMENTS
    ]
    assert kinds == [
        ("v1", "PersistentVolumeClaim", "triage-loadtest-results"),
        ("batch/v1", "Job", "triage-loadtest"),
        ("batch/v1", "Job", "triage-loadtest-merge"),
    ]


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_every_line_is_indented_by_twos_and_never_skips_a_level(number: int) -> None:
    before = 0
    for line in DOCUMENTS[number].splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        assert "\t" not in line
        depth = len(line) - len(line.lstrip())
        assert depth % 2 == 0, line
        assert depth <= before + 4, line  # a list item opens two levels at once
        before = depth


def test_copies_counted_in_the_jobs_are_the_ones_that_the_merge_waits_for() -> None:
    generators, merge = DOCUMENTS[1], DOCUMENTS[2]
    (parallel,), (completions,) = (
        values(generators, key) for key in ("parallelism", "completions")
    )
    assert parallel == completions
    assert f"-ge {completions} ]" in merge
    assert values(generators, "completionMode") == ["Indexed"]
    assert (
        values(generators, "claimName")
        == values(merge, "claimName")
        == [values(DOCUMENTS[0], "name")[0]]
    )
    assert values(generators, "restartPolicy") == values(merge, "restartPolicy") == ["Never"]


def test_the_shell_reads_both_scripts() -> None:
    assert len(scripts()) == 2
    for script in scripts():
        reading = ["/bin/sh", "-n", "-c", script]
        done = subprocess.run(reading, capture_output=True, check=False)  # noqa: S603 - only read
        assert (done.returncode, done.stderr) == (0, b"")


def test_the_program_takes_the_commands_as_they_are() -> None:
    group = loadtest_group()
    for script, expected in zip(scripts(), ("run", "merge"), strict=True):
        command = script[script.index("triage-bridge loadtest") :].split("||")[0]
        words = shlex.split(command.replace("$JOB_COMPLETION_INDEX", "3"))[2:]
        assert words[0] == expected
        found = group.get_command(click.Context(group), words[0])
        assert found is not None
        context = found.make_context(expected, words[1:], obj=None)
        assert context.params["gates"] or expected == "run"


def test_results_are_written_where_the_merge_looks() -> None:
    generator, merge = scripts()
    assert '--out "/results/$JOB_COMPLETION_INDEX"' in generator
    assert "/results/*/run.json" in merge
