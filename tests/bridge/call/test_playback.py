"""What was heard: whatever marks come in whatever order, never more than was sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bridge.call.playback import Cut, Playback
from bridge.protocol.twilio_stream import MarkRef, parse_mark


def ref(name: str | None) -> MarkRef:
    assert name is not None
    parsed = parse_mark(name)
    assert parsed is not None
    return parsed


def test_nothing_is_heard_before_the_opening_mark() -> None:
    playback = Playback()
    playback.sent("item_1", 0, 8000)
    assert (playback.heard_ms("item_1", 99.0), playback.sent_ms("item_1")) == (0, 1000)
    assert playback.pending


def test_what_is_heard_runs_with_the_clock_from_the_last_mark() -> None:
    playback = Playback()
    opening, behind = playback.sent("item_1", 0, 8000)
    playback.reached(ref(opening), 5.0)
    assert playback.heard_ms("item_1", 5.4) == 400
    playback.reached(ref(behind), 6.0)
    assert playback.heard_ms("item_1", 9.0) == 1000
    assert not playback.pending


def test_marks_that_come_late_or_twice_do_not_turn_the_clock_back() -> None:
    playback = Playback()
    opening, first = playback.sent("item_1", 0, 1600)
    _, second = playback.sent("item_1", 0, 1600)
    playback.reached(ref(second), 5.0)
    playback.reached(ref(first), 6.0)
    playback.reached(ref(opening), 7.0)
    assert playback.heard_ms("item_1", 7.0) == 400


def test_pieces_shorter_than_a_millisecond_add_up() -> None:
    playback = Playback()
    for _ in range(8):
        playback.sent("item_1", 0, 7)
    assert playback.sent_ms("item_1") == 7


def test_what_is_left_is_the_sum_over_all_items() -> None:
    playback = Playback()
    opening, _ = playback.sent("item_1", 0, 8000)
    playback.sent("item_2", 0, 4000)
    playback.reached(ref(opening), 5.0)
    assert playback.remaining_ms(5.3) == 700 + 500


def test_an_item_is_cut_though_playback_ran_dry_while_more_of_it_was_to_come() -> None:
    playback = Playback()
    opening, behind = playback.sent("item_1", 0, 4000)
    playback.reached(ref(opening), 5.0)
    playback.reached(ref(behind), 5.5)
    assert (playback.pending, playback.finished) == (False, False)
    assert playback.interrupt(9.0) == [Cut("item_1", 0, 500, 500)]


def test_a_clear_forgets_everything_and_later_echoes_of_it_count_for_nothing() -> None:
    playback = Playback()
    opening, behind = playback.sent("item_1", 0, 8000)
    playback.reached(ref(opening), 5.0)
    assert playback.interrupt(5.25) == [Cut("item_1", 0, 250, 1000)]
    again, _ = playback.sent("item_1", 0, 8000)
    assert not playback.reached(ref(behind), 5.3)
    assert playback.heard_ms("item_1", 9.0) == 0
    assert playback.reached(ref(again), 6.0)


def test_items_that_were_heard_to_their_end_are_not_kept() -> None:
    playback = Playback()
    for number in range(50):
        opening, behind = playback.sent(f"item_{number}", 0, 800)
        playback.generated(f"item_{number}")
        playback.reached(ref(opening), 1.0)
        playback.reached(ref(behind), 1.1)
    assert sum(playback.sent_ms(f"item_{number}") for number in range(50)) == 100


@dataclass
class Line:
    """Twilio's end: plays in order and echoes marks, or throws them back after a clear."""

    marks: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)


class AnyCall(RuleBasedStateMachine):
    """Sending, playing, interrupting and echoing in any order and at any speed."""

    @initialize()
    def begin(self) -> None:
        self.playback = Playback()
        self.line = Line()
        self.now = 0.0
        self.sent: dict[str, int] = {}

    @rule(item=st.sampled_from(["a", "b", "c"]), size=st.integers(1, 20_000))
    def send(self, item: str, size: int) -> None:
        self.sent[item] = self.sent.get(item, 0) + size
        opening, behind = self.playback.sent(item, 0, size)
        self.line.marks += [name for name in (opening, behind) if name is not None]

    @rule(item=st.sampled_from(["a", "b", "c"]))
    def end_of_item(self, item: str) -> None:
        self.playback.generated(item)

    @rule(seconds=st.floats(0, 3))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def echo(self) -> None:
        if self.line.marks:
            self.playback.reached(ref(self.line.marks.pop(0)), self.now)

    @rule()
    def echo_a_stale_one(self) -> None:
        if self.line.stale:
            assert not self.playback.reached(ref(self.line.stale.pop(0)), self.now)

    @rule()
    def interrupt(self) -> None:
        for cut in self.playback.interrupt(self.now):
            assert 0 <= cut.heard_ms <= cut.sent_ms <= self.sent[cut.item_id] // 8
        self.line.stale += self.line.marks
        self.line.marks.clear()
        assert not self.playback.pending
        assert self.playback.remaining_ms(self.now) == 0

    @invariant()
    def heard_never_exceeds_sent(self) -> None:
        for item in self.sent:
            heard = self.playback.heard_ms(item, self.now)
            assert 0 <= heard <= self.playback.sent_ms(item) <= self.sent[item] // 8

    @invariant()
    def what_is_heard_only_grows(self) -> None:
        for item in self.sent:
            now, later = (self.playback.heard_ms(item, self.now + s) for s in (0.0, 0.7))
            assert now <= later


TestAnyCall = AnyCall.TestCase


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=20))
def test_any_splitting_of_the_audio_gives_the_same_last_position(sizes: list[int]) -> None:
    playback = Playback()
    for size in sizes:
        _, behind = playback.sent("item_1", 0, size)
    assert ref(behind).heard_ms == sum(sizes) // 8
