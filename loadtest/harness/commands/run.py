"""``loadtest run``: simulated calls against a bridge, and what their callers hear."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import uvloop
from rich.console import Console

from loadtest.harness.arrivals import ARRIVALS, Arrival
from loadtest.harness.callers import CORPUS, DEFAULT, CallersError, read_callers
from loadtest.harness.cli import PrepareBridge
from loadtest.harness.compat import CompatError, Dialect
from loadtest.harness.compat_options import compatibility, compatibility_options
from loadtest.harness.cost import CostError, estimate
from loadtest.harness.degrade import DegradeError, parse_degradation
from loadtest.harness.engine import RunError, run
from loadtest.harness.exits import WRONG_USE, status_of
from loadtest.harness.gates import Gate, GateError, never_measured, parse_all
from loadtest.harness.options import duration, rate
from loadtest.harness.plan import REALTIME_PORT, Account, OwnBridge, Realtime, RunPlan
from loadtest.harness.processes import ProcessError
from loadtest.harness.progress import Progress
from loadtest.harness.report import summary, write_html
from loadtest.harness.result import Result, write
from loadtest.harness.serving import TRIAGE_FILE, ServingError
from loadtest.harness.target import Target, TargetError, Way, is_loopback
from loadtest.realtime import PROFILES
from loadtest.scenarios import LineConditions, LineError, parse_conditions

LONGEST_S = 24 * 3600.0
NAME = "run"
PLAIN_WIDTH = 110
MISUSE = (
    CallersError,
    CompatError,
    CostError,
    DegradeError,
    GateError,
    LineError,
    ProcessError,
    TargetError,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options, as click has read them."""

    target: str | None
    voice: str | None
    own_bridge: Way | None
    workers: int
    calls: int
    ramp: float
    for_s: float
    arrival: Arrival
    scenarios: tuple[str, ...]
    wavs: tuple[Path, ...]
    corpus: Path | None
    line: tuple[str, ...]
    seed: int
    realtime: Realtime
    realtime_port: int
    realtime_model: str
    profile: str
    degrade: tuple[str, ...]
    gates: tuple[str, ...]
    pid: int | None
    settle_s: float
    account_sid: str
    auth_token_env: str | None
    allow_origins: tuple[str, ...]
    dialect: Dialect
    no_signature: bool
    parameters: tuple[str, ...]
    resolve: tuple[str, ...]
    out: Path
    yes: bool
    yes_i_own_this_target: bool


@click.command(NAME, context_settings={"show_default": True})
@click.option("--target", metavar="URL", help="The media socket: wss://host/media.")
@click.option("--voice", metavar="URL", help="The voice webhook, as Twilio calls it.")
@click.option(
    "--own-bridge",
    is_flag=False,
    flag_value="voice",
    type=click.Choice(["voice", "media"]),
    help="Start our own bridge here: voice goes through its webhook, media straight to the socket.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Of our own bridge.")
@click.option("--calls", type=click.IntRange(1, 20_000), default=10, help="Up at once, at most.")
@click.option("--ramp", callback=rate, default="10/s", help="How fast calls begin.")
@click.option(
    "--for", "for_s", callback=duration(1, LONGEST_S), default="1m", help="Length of it all."
)
@click.option(
    "--arrival",
    type=click.Choice(ARRIVALS),
    default="ramp",
    help="ramp and spike: each call that ends is followed by another; steady and poisson: calls "
    "come at --ramp whatever becomes of others.",
)
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    metavar="NAME_OR_FILE[=WEIGHT]",
    help=f"Who calls; several are mixed. {CORPUS} is every recorded call. "
    f"[default: {', '.join(DEFAULT)}]",
)
@click.option(
    "--wav",
    "wavs",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A caller who says this recording.",
)
@click.option(
    "--corpus",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder with calls.jsonl and recordings, instead of the packaged calls.",
)
@click.option(
    "--line",
    multiple=True,
    metavar="CONDITION",
    help="The callers' line: snr=10dB, loss=1%, loss-run=3, jitter=40ms, burst=200ms, "
    "burst-every=5s.",
)
@click.option("--seed", default=1, help="Same seed, same callers, arrivals, delays of the model.")
@click.option(
    "--realtime",
    type=click.Choice(["simulated", "openai", "none"]),
    default="simulated",
    help="The model: ours, the real one (costs money), or the bridge's own affair.",
)
@click.option(
    "--realtime-port",
    type=click.IntRange(1, 65535),
    default=REALTIME_PORT,
    help="Where the simulated model listens; the bridge needs it as REALTIME_URL.",
)
@click.option("--realtime-model", default="gpt-realtime-2.1", help="For the cost of the real one.")
@click.option("--profile", type=click.Choice(list(PROFILES)), default="typical")
@click.option(
    "--degrade",
    multiple=True,
    metavar="FAULT",
    help="Make the bridge look bad, to see gates fail: delay=50ms, drop=0.001, forget-marks.",
)
@click.option("--gate", "gates", multiple=True, metavar="GATE", help="NAME.p95=800ms or NAME=0.")
@click.option(
    "--settle",
    "settle_s",
    callback=duration(0, 600),
    default="0s",
    help="Before the first call, while the simulated model is there already: a bridge that keeps "
    "sessions ready finds it within 30s.",
)
@click.option("--pid", type=click.IntRange(1), help="Process of the bridge, to be watched.")
@click.option("--account-sid", default=Account().sid, help="The account the bridge takes calls of.")
@click.option("--auth-token-env", metavar="NAME", help="Variable with the account's auth token.")
@click.option(
    "--allow-origin",
    "allow_origins",
    multiple=True,
    metavar="URL",
    help="Another origin of yours that the webhook's answers may lead to.",
)
@compatibility_options
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out/loadtest"),
    help="Folder for run.json and run.html.",
)
@click.option("--yes", is_flag=True, help="Do not ask before spending money.")
@click.option("--yes-i-own-this-target", is_flag=True, help="For targets beyond this machine.")
@click.pass_obj
def command(prepare: PrepareBridge, /, **options: Any) -> None:  # noqa: ANN401 - click's values
    """Place simulated calls, and judge what their callers hear."""
    asked = Asked(**options)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    try:
        with tempfile.TemporaryDirectory(prefix="loadtest-") as folder:
            plan = plan_of(asked, prepare, Path(folder))
            writable(*(asked.out / f"{NAME}.{kind}" for kind in ("json", "html")))
            introduce(console, asked, plan)
            result = uvloop.run(place_calls(plan, console))
        write(result, asked.out / f"{NAME}.json")
        write_html(result, asked.out / f"{NAME}.html")
    except MISUSE as error:
        raise click.UsageError(str(error)) from error
    except (RunError, ServingError) as error:
        raise Misled(str(error)) from error
    except OSError as error:
        raise Misled.by(error) from error
    console.print(summary(result))
    console.print(f"{asked.out / NAME}.json, {asked.out / NAME}.html", style="dim")
    raise click.exceptions.Exit(status_of(result))


class Misled(click.ClickException):
    exit_code = WRONG_USE

    @classmethod
    def by(cls, error: OSError, unnamed: str = "") -> Misled:
        """``unnamed`` stands where the error names no file."""
        where = error.filename or unnamed
        why = error.strerror or error
        return cls(f"{where}: {why}" if where else str(why))


def plan_of(asked: Asked, prepare: PrepareBridge, folder: Path) -> RunPlan:
    """Raises one of ``MISUSE``."""
    conditions: LineConditions = parse_conditions(asked.line)
    own, target = _where(asked, prepare, folder)
    plan = RunPlan(
        callers=read_callers(asked.scenarios, asked.wavs, asked.corpus, conditions),
        target=target,
        own_bridge=own,
        calls=asked.calls,
        rate_per_s=asked.ramp,
        for_s=asked.for_s,
        arrival=asked.arrival,
        seed=asked.seed,
        realtime=asked.realtime,
        realtime_port=asked.realtime_port,
        profile=asked.profile,
        line=conditions,
        degradation=parse_degradation(asked.degrade),
        gates=parse_all(asked.gates),
        account=_account(asked),
        allowed_origins=frozenset(asked.allow_origins) if asked.yes_i_own_this_target else NOWHERE,
        pid=asked.pid,
        settle_s=asked.settle_s,
        compat=compatibility(asked.dialect, asked.no_signature, asked.parameters, asked.resolve),
    )
    if asked.parameters and plan.way == "voice":
        raise TargetError("--parameter: through the webhook the bridge's own TwiML has them")
    _check_gates(plan.gates, plan)
    return plan


NOWHERE: frozenset[str] = frozenset()


def _where(
    asked: Asked, prepare: PrepareBridge, folder: Path
) -> tuple[OwnBridge | None, Target | None]:
    ways = {"--target": asked.target, "--voice": asked.voice, "--own-bridge": asked.own_bridge}
    given = [name for name, value in ways.items() if value]
    if len(given) != 1:
        came = " and ".join(given) or "nothing"
        raise TargetError(f"expected one of {', '.join(ways)}; given: {came}")
    if asked.own_bridge is not None:
        _none_needless(asked)
        environ = dict(prepare(TRIAGE_FILE, folder))
        log = asked.out / "bridge.log"
        return OwnBridge(asked.own_bridge, asked.workers, environ, log), None
    way: Way = "media" if asked.target else "voice"
    url = asked.target or asked.voice or ""
    reached = compatibility("ga", True, (), asked.resolve).reached_at(url)
    here = is_loopback(urlsplit(reached).hostname or "")
    return None, Target.parse(way, url, owned=asked.yes_i_own_this_target or here)


def _none_needless(asked: Asked) -> None:
    """What a bridge of our own would not look at is a misunderstanding."""
    if asked.pid is not None:
        raise TargetError("--pid: with --own-bridge its process is watched anyway; leave it out")
    if asked.realtime_port != REALTIME_PORT:
        raise TargetError("--realtime-port: a bridge started by --own-bridge is told; leave it out")
    if asked.resolve:
        raise TargetError("--resolve: --own-bridge knows where its bridge is; leave it out")


def _account(asked: Asked) -> Account:
    if asked.auth_token_env is None:
        return Account(asked.account_sid)
    token = os.environ.get(asked.auth_token_env, "")
    if not token:
        raise TargetError(f"--auth-token-env: {asked.auth_token_env} is not set")
    return Account(asked.account_sid, token)


def _check_gates(gates: tuple[Gate, ...], plan: RunPlan) -> None:
    complaint = never_measured(gates, plan.measurable)
    if complaint is not None:
        expected = "" if plan.callers.expect_something else ", callers who expect no outcome"
        raise GateError(f"{complaint} (--realtime {plan.realtime}, through {plan.way}{expected})")


def introduce(console: Console, asked: Asked, plan: RunPlan) -> None:
    for note in plan.callers.notes:
        console.print(f"note: {note}", markup=False)
    if plan.realtime == "simulated" and plan.target is not None:
        url = f"ws://127.0.0.1:{plan.realtime_port}/v1/realtime"
        console.print(f"the simulated model: the bridge has to have REALTIME_URL={url}")
        if asked.settle_s:
            console.print(f"the first call comes in {asked.settle_s:g} s", markup=False)
        else:
            console.print("a bridge of ours: POOL_SIZE=0 too, or --settle 35s here")
    if plan.realtime != "openai":
        return
    console.print(f"expected cost: {estimate(plan, asked.realtime_model)}")
    if not asked.yes and not _agreed():
        raise Misled("no call was placed; --yes places them without a question")


def _agreed() -> bool:
    """False also where nobody is there to answer."""
    try:
        return click.confirm("Place these calls?")
    except click.Abort:
        return False


def writable(*files: Path) -> None:
    """Raises OSError before anything is measured whose result could not be written afterwards."""
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        there = file.exists()
        with file.open("ab"):
            pass
        if not there:
            file.unlink()


async def place_calls(plan: RunPlan, console: Console) -> Result:
    """The run, with its progress on the terminal; SIGINT and SIGTERM end it early."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        with Progress(console, plan.for_s) as watch:
            return await run(plan, watch, stop)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ValueError):
                loop.remove_signal_handler(number)
