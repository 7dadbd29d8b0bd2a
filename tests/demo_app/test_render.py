"""The picture, the line and the closing words; what strangers wrote must not command the terminal."""

from __future__ import annotations

import re
from datetime import UTC

import pytest

from scripts.demo_app import Totals, summary
from scripts.demo_app.report import line
from scripts.demo_app.state import DEAD_LETTERS, EVENTS, FRAUD, LATE, OUTPUTS, SALES, JobStatus, ViewState
from scripts.demo_app.text import clock, money, rate, safe
from scripts.outputs.flink import Checkpoint
from scripts.outputs.record import Offsets, Record
from tests.demo_app.samples import HOSTILE, NOON_MS, dead_letter, drawn, failure, order, seen, signal, status, window

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_CLEANED = "[bold red]x[/] [2J]0;owned abcd[/nonsense]"


def busy() -> ViewState:
    """Everything at its most."""
    state = seen(
        *(order(99_999_999, session="s" * 128) for _ in range(6)),
        *(signal("6 orders by user u-1 within 5 min, more than 5, " * 5, reasons=20) for _ in range(4)),
        *(window(f"category-{number}", 1e9 + number) for number in range(9)),
        *(status(f"rule-{number}", number + 1) for number in range(9)),
        *(dead_letter(f"reason-{number}".encode()) for number in range(12)),
        status("rule-1", 9, "rejected", reason="to: topic 'nowhere' is not one of those allowed " * 5),
        Record(SALES, b"?"),
    )
    state.kafka_said(Offsets(10**9, 12_345_678, missing=OUTPUTS), 0)
    state.flink_said(JobStatus("RESTARTING", Checkpoint(123_456, NOON_MS - 1_500, 45), 3))
    state.kafka_silent()
    state.flink_silent()
    return state


@pytest.mark.parametrize("state", [ViewState(), busy()], ids=["empty", "busy"])
@pytest.mark.parametrize("width", [60, 100, 200])
def test_the_picture_fits(state: ViewState, width: int) -> None:
    lines = drawn(state, width).splitlines()
    assert len(lines) <= 35
    assert max(map(len, lines)) <= width


def test_a_picture_of_a_running_job() -> None:
    state = seen(
        signal("6 orders within 5 min", reasons=3), order(123_456, session="s-42"), failure("declined"),
        dead_letter(b"clock-gap"), dead_letter(b"clock-gap"), Record(LATE),
        window("books", 12_345.6), status("orders", 1), status("orders", 1, subtask=1), status("vip", 3),
    )  # fmt: skip
    for second in range(6):
        state.tick(second)
        state.kafka_said(Offsets(arrived=2_000 * second, lag=1_203), second)
    state.flink_said(JobStatus("RUNNING", Checkpoint(42, NOON_MS - 800, 45), 0))
    text = re.sub(" +", " ", drawn(state, now_s=5))
    for words in (
        "Dashboard http://127.0.0.1:8080 Flink web UI http://127.0.0.1:8081 Ctrl-C ends the demo",
        "RUNNING, checkpoint 42 (0.8 s ago, took 45 ms), restarts 0",
        "events 10,000 2,000 1,203",
        "clock-gap 2",
        "events.late 1 0",
        "fraud.alerts 1 0",
        "12:00:00 82 (+2): 6 orders within 5 min u-1",
        "12:00:00 order over $1000: 1,234.56 USD s-42",
        "12:00:00 payment failed: declined, 19.99 EUR s-1",
        "sales, 11:55:00 to 12:00:00 per minute",
        "books 123.46 USD",
        "orders v1 2 of 2",
        "vip v3 1 of 2",
    ):
        assert words in text
    assert "no answer" not in text
    assert text.index("payment failed") < text.index("over $1000")  # newest first


def test_what_does_not_answer_is_said_and_the_last_known_stays() -> None:
    state = seen(Record(LATE))
    assert "asking Flink" in drawn(state)
    state.flink_silent()
    assert drawn(state).count("Flink: no answer") == 1
    state.flink_said(JobStatus("RUNNING"))
    assert "RUNNING, no checkpoint yet, restarts –" in drawn(state)
    state.flink_silent()
    state.kafka_silent()
    text = drawn(state)
    assert "RUNNING" in text
    assert "Flink: no answer" in text
    assert "Kafka: no answer" in text
    state.kafka_said(Offsets(0, 0), 0)
    assert "Kafka: no answer" not in drawn(state)


def hostile() -> ViewState:
    state = seen(
        failure(HOSTILE, session=HOSTILE), signal(HOSTILE, subject=HOSTILE), order(1, currency=HOSTILE),
        dead_letter(HOSTILE.encode()), window(HOSTILE, 5, HOSTILE),
        status(HOSTILE, 1), status(HOSTILE, 1, "rejected", reason=HOSTILE), status("r", 1, HOSTILE),
    )  # fmt: skip
    state.flink_said(JobStatus(HOSTILE))
    state.kafka_said(Offsets(0, 0, missing=(HOSTILE,)), 0)
    return state


def test_hostile_text_reaches_the_terminal_as_text_only() -> None:
    text = drawn(hostile(), width=200, terminal=True)
    bare = _STYLE.sub("", text)
    assert "\x1b" not in bare
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]", bare)
    assert _CLEANED[:20] in bare  # markup is shown, not obeyed
    assert len(text.splitlines()) <= 35


def test_hostile_text_stays_within_its_line() -> None:
    for text in (line(hostile(), 0, NOON_MS, UTC), summary(hostile().totals(), 1).split("dead letters")[1].splitlines()[0]):
        assert text.isprintable()
        assert "[bold red]" in text


def test_safe() -> None:
    assert safe(HOSTILE) == _CLEANED
    assert safe("kopfhörer 耳机") == "kopfhörer 耳机"
    assert safe("x" * 80) == "x" * 80
    assert safe("x" * 81) == "x" * 79 + "…"
    assert safe("\x1b" * 10_000_000 + "x") == "…"
    assert safe("e" + "\u0301" * 50) == "e"
    assert safe("\ud800") == ""


def test_numbers_and_times() -> None:
    assert money(5, "USD") == "0.05 USD"
    assert money(-123_456, "KWD") == "-123.456 KWD"
    assert (rate(None), rate(0), rate(0.24), rate(2_345.6)) == ("–", "0", "0.2", "2,346")
    assert clock(NOON_MS, UTC) == "12:00:00"
    assert clock(2**62, UTC) == "?"


def test_a_line_for_pipes() -> None:
    state = seen(order(200_000), Record(LATE), window("a", 1))
    state.kafka_said(Offsets(arrived=10, lag=3), 0)
    state.flink_said(JobStatus("RUNNING", Checkpoint(7, NOON_MS - 1_000, 12), 1))
    assert line(state, 0, NOON_MS, UTC) == (
        "12:00:00 RUNNING, checkpoint 7 (1.0 s ago, took 12 ms), restarts 1 | events 10 (–/s, lag 3) | orders 0 | payments 0 | "
        "session-activity 0 | fraud alerts 0 | alerts 1 | late 1 | dead letters 0 | windows 1"
    )


def test_closing_words() -> None:
    topics = {EVENTS: 9_990, "orders": 1_000, "payments": 900, "session-activity": 7_000, FRAUD: 12, LATE: 34, DEAD_LETTERS: 5, SALES: 360}
    totals = Totals(topics, {"empty": 1, "malformed": 4})
    assert summary(totals, 10_000).splitlines()[1:] == [
        "  sent           10,000",
        "  routed         8,912 (orders 1,000, payments 900, session-activity 7,000, fraud-detection 12)",
        "  late           34",
        "  dead letters   5 (malformed 4, empty 1)",
        "  alerts         0 of fraud signals, 12 by rules to fraud-detection",
        "  sales windows  360",
    ]
    assert "sent           9,990 (counted in Kafka)" in summary(totals, None)
    assert "dead letters   0\n" in summary(Totals({}, {}), None)
