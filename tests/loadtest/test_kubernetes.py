"""The Job manifest: its structure, commands that the program takes, and its shell, run for real.

No YAML parser is among the dependencies, so the documents are read by their indentation. In place
of ``triage-bridge`` the shell finds a small program that writes a result, or fails as it is told.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

import loadtest
from loadtest.harness.cli import loadtest_group

MANIFEST = Path(loadtest.__file__).parent / "kubernetes" / "job.yaml"
TEXT = MANIFEST.read_text(encoding="utf-8")
DOCUMENTS = TEXT.split("\n---\n")
VOLUME, JOB = DOCUMENTS

PROGRAM = """\
#!/bin/sh
echo "$@" >> "$CALLS"
if [ "$2" = merge ]; then exit "${MERGE_STATUS:-0}"; fi
while [ "$1" != --out ]; do shift; done
case "${RUN_STATUS:=0}" in 0|1|3|130) echo {} > "$2/run.json" ;; esac
exit "$RUN_STATUS"
"""


def values(document: str, key: str) -> list[str]:
    return re.findall(rf"^ *(?:- )?{key}: *(\S.*)$", document, re.MULTILINE)


def script() -> str:
    """The literal scalar under ``args``, as YAML reads it: without the indentation of the block."""
    (block,) = re.findall(r"^ +args:\n +- \|\n((?: {14}.*\n|\n)+)", JOB, re.MULTILINE)
    return textwrap.dedent(block)


def environ() -> dict[str, str]:
    """What the manifest sets to a fixed value."""
    return dict(re.findall(r"- name: (\w+)\n +value: \"?([^\"\n]*)\"?\n", JOB))


# --- what it is made of -------------------------------------------------------------------------


def test_the_documents_are_a_volume_and_a_job() -> None:
    kinds = [
        (values(one, "apiVersion")[0], values(one, "kind")[0], values(one, "name")[0])
        for one in DOCUMENTS
    ]
    assert kinds == [
        ("v1", "PersistentVolumeClaim", "triage-loadtest-results"),
        ("batch/v1", "Job", "triage-loadtest"),
    ]
    assert values(JOB, "claimName") == ["triage-loadtest-results"]


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


def test_as_many_copies_run_at_once_as_are_merged() -> None:
    copies = environ()["COPIES"]
    assert values(JOB, "parallelism") == values(JOB, "completions") == [copies]
    assert values(JOB, "completionMode") == ["Indexed"]
    assert values(JOB, "restartPolicy") == ["Never"]
    assert values(JOB, "backoffLimit") == ["0"]


def test_results_go_to_the_volume_under_the_uid_of_the_job() -> None:
    assert values(JOB, "mountPath") == [environ()["RESULTS"]]
    assert re.findall(r"- name: (\w+)\n +valueFrom:\n +fieldRef:\n +fieldPath: (.*)\n", JOB) == [
        ("RUN", "metadata.labels['batch.kubernetes.io/controller-uid']")
    ]


def test_copy_0_gives_up_waiting_before_the_job_is_ended() -> None:
    (deadline_s,) = values(JOB, "activeDeadlineSeconds")
    (runs_min,) = re.findall(r"--for (\d+)m", script())
    assert int(runs_min) * 60 + int(environ()["COPIES_WAIT_S"]) < int(deadline_s)


def test_the_program_takes_the_commands_as_they_are() -> None:
    group = loadtest_group()
    joined = script().replace("\\\n", "")
    commands = re.findall(r"^triage-bridge loadtest .*$", joined, re.MULTILINE)
    assert [shlex.split(command)[2] for command in commands] == ["run", "merge"]
    for command in commands:
        name, *words = shlex.split(command.replace("$JOB_COMPLETION_INDEX", "3"))[2:]
        found = group.get_command(click.Context(group), name)
        assert found is not None
        context = found.make_context(name, words, obj=None)
        assert context.params["gates"] or name == "run"


# --- what its shell does ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cluster:
    """Runs the container's command as a pod of an Indexed Job would."""

    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of every call of the program."""
        return [line.split() for line in (self.folder / "calls").read_text().splitlines()]

    def start(self, copy: int, job: str = "uid-1", **changes: str) -> subprocess.Popen[str]:
        given = {
            **environ(),
            "PATH": f"{self.folder / 'bin'}:{os.defpath}",
            "CALLS": str(self.folder / "calls"),
            "RESULTS": str(self.results),
            "RUN": job,
            "JOB_COMPLETION_INDEX": str(copy),
            "COPIES": "3",
            **changes,
        }
        command = ["/bin/sh", "-c", script()]
        return subprocess.Popen(command, env=given, stderr=subprocess.PIPE, text=True)  # noqa: S603

    def run(self, copy: int, job: str = "uid-1", **changes: str) -> tuple[int, str]:
        """The pod's exit status, and what it complained of."""
        with self.start(copy, job, **changes) as pod:
            _, complaint = pod.communicate(timeout=60)
        return pod.returncode, complaint

    def merged(self) -> list[str]:
        """The files that the last call of the program was to merge."""
        words = self.calls[-1]
        assert words[:2] == ["loadtest", "merge"]
        return [str(Path(word).relative_to(self.results)) for word in words if "run.json" in word]


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    (tmp_path / "bin").mkdir()
    # A wait of the script passes quickly; what it waits for comes from other processes.
    for name, text in (("triage-bridge", PROGRAM), ("sleep", "#!/bin/sh\nexec /bin/sleep 0.05\n")):
        file = tmp_path / "bin" / name
        file.write_text(text)
        file.chmod(0o755)
    return Cluster(tmp_path)


def test_every_copy_runs_with_its_number_as_seed_and_copy_0_merges(cluster: Cluster) -> None:
    assert [cluster.run(copy) for copy in (1, 2, 0)] == [(0, "")] * 3
    assert cluster.merged() == [f"uid-1/{copy}/run.json" for copy in range(3)]
    *runs, merge = cluster.calls
    assert [run[-4:] for run in runs] == [
        ["--seed", str(copy), "--out", str(cluster.results / "uid-1" / str(copy))]
        for copy in (1, 2, 0)
    ]
    assert merge[-2:] == ["--out", str(cluster.results / "uid-1")]


def test_copy_0_waits_for_the_copies_that_are_not_done(cluster: Cluster) -> None:
    with cluster.start(0, COPIES_WAIT_S="3000") as first:
        assert cluster.run(1) == (0, "")
        assert cluster.run(2) == (0, "")
        assert first.communicate(timeout=60)[1] == ""
    assert first.returncode == 0
    assert cluster.merged() == [f"uid-1/{copy}/run.json" for copy in range(3)]


@pytest.mark.parametrize("status", ["0", "1", "3"])
def test_the_job_ends_with_the_status_of_the_whole(cluster: Cluster, status: str) -> None:
    cluster.run(1)
    cluster.run(2)
    assert cluster.run(0, MERGE_STATUS=status) == (int(status), "")


def test_runs_that_missed_a_gate_were_late_or_interrupted_are_merged(cluster: Cluster) -> None:
    assert cluster.run(1, RUN_STATUS="3") == (0, "")
    assert cluster.run(2, RUN_STATUS="130") == (0, "")
    assert cluster.run(0, RUN_STATUS="1") == (0, "")
    assert cluster.merged() == [f"uid-1/{copy}/run.json" for copy in range(3)]


def test_copies_that_failed_are_named_with_their_status_and_nothing_is_merged(
    cluster: Cluster,
) -> None:
    assert cluster.run(1, RUN_STATUS="2") == (0, "")
    assert cluster.run(2) == (0, "")
    status, complaint = cluster.run(0, RUN_STATUS="137")
    assert (status, complaint.splitlines()) == (
        2,
        [
            "copy 0: ended with status 137, no result",
            "copy 1: ended with status 2, no result",
            f"nothing is merged: expected 3 results in {cluster.results}/uid-1",
        ],
    )
    assert [words[1] for words in cluster.calls] == ["run"] * 3


def test_a_copy_that_leaves_nothing_is_waited_for_only_so_long(cluster: Cluster) -> None:
    cluster.run(2)
    status, complaint = cluster.run(0, COPIES_WAIT_S="10")
    assert (status, complaint.splitlines()[0]) == (2, "copy 1: no status in time")


def test_results_of_an_earlier_job_are_not_taken(cluster: Cluster) -> None:
    for copy in (1, 2, 0):
        cluster.run(copy, job="uid-1")
    status, complaint = cluster.run(0, job="uid-2", COPIES_WAIT_S="0")
    assert (status, complaint.splitlines()[:2]) == (
        2,
        ["copy 1: no status in time", "copy 2: no status in time"],
    )
    assert cluster.run(1, job="uid-3") == cluster.run(2, job="uid-3") == (0, "")
    assert cluster.run(0, job="uid-3") == (0, "")
    assert cluster.merged() == [f"uid-3/{copy}/run.json" for copy in range(3)]


def test_a_pod_that_is_started_again_does_not_call_again(cluster: Cluster) -> None:
    cluster.run(1)
    status, complaint = cluster.run(1)
    assert status == 2
    assert complaint.endswith("copy 1 was started twice, expected once\n")
    assert [words[1] for words in cluster.calls] == ["run"]
