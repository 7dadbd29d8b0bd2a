"""Whatever stands on the rules topic or in a file: it is refused with a clear text, and costs little until it is.

None of these tests measures time; each bomb would take minutes, gigabytes or the whole stack if it went off.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import re2

from jobs import baseline
from jobs.settings import Topics
from tests.udfs import samples
from udfs.rules import rulebook
from udfs.rules.conditions import Slots, compile_condition
from udfs.rules.language import MAX_DEPTH, MAX_RULE_BYTES, InvalidRule, Rule, parse_rule
from udfs.rules.rulebook import ACCEPTED, REJECTED, STALE, Rulebook
from udfs.rules.values import compile_pattern

PATH = "$.event_id"


def refused(text: str) -> str:
    """Why the Rulebook rejects a text; the rule before it stays in force, and the next one is accepted."""
    book = Rulebook([samples.rule_text()], samples.TOPICS)
    update = book.apply("a-rule", text)
    assert update.status == REJECTED
    assert [each.version for each in book] == [1]
    assert update.reason.isprintable()
    assert book.apply("a-rule", samples.rule_text(version=2)).status == ACCEPTED
    return update.reason


def with_condition(**condition: Any) -> str:
    return samples.rule_text(version=2, when={"events": ["*"], "all": [condition]})


# -- patterns -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        (r"(a+)\1", "invalid escape sequence: \\1"),  # what can't be matched in linear time is not in the language
        (r"(?=a)b", "invalid perl operator: (?="),
        (r"(?<!a)b", "(?<!"),
        (r"(((a{100}){100}){100})", "invalid repetition size: "),
        (r"((\pL{50}){20}){20}", "invalid repetition size: "),
        (r"\pL{1000}", "pattern too large"),
        ("(" * 1_000, "missing )"),
    ],
)
def test_a_pattern_that_could_be_slow_or_large_is_refused(pattern: str, fault: str) -> None:
    reason = refused(with_condition(path=PATH, op="matches", value=pattern))
    assert reason.startswith("when.all[0].value is '")
    assert "must be a pattern of RE2: " in reason
    assert fault in reason


def test_a_long_pattern_is_refused() -> None:
    assert "must have at most 1000 characters" in refused(with_condition(path=PATH, op="matches", value="a" * 1_001))


def test_patterns_that_backtrack_elsewhere_run_in_re2() -> None:
    assert type(compile_pattern("(a+)+$")).__module__.startswith("re2")
    with pytest.raises(re2.error):
        compile_pattern(r"(a)\1")
    condition = samples.parsed(json.loads(with_condition(path=PATH, op="matches", value="^(a+)+$"))).when.all[0]  # type: ignore[index]
    slots = Slots()
    holds = compile_condition(condition, slots)
    assert not holds(slots.values(samples.event(event_id="a" * 100_000 + "b")))
    assert holds(slots.values(samples.event(event_id="a" * 100_000)))


# -- size and depth -------------------------------------------------------------------------------------------------------------


def test_a_large_rule_is_refused() -> None:
    reason = refused(samples.rule_text(description="x" * 10_000_000))
    assert reason.startswith("the rule has 10000") and reason.endswith(f" bytes, allowed are {MAX_RULE_BYTES}")
    assert refused("ü" * MAX_RULE_BYTES).startswith(f"the rule has {2 * MAX_RULE_BYTES} bytes")
    exact = samples.rule_text()
    assert parse_rule(exact + " " * (MAX_RULE_BYTES - len(exact)), samples.TOPICS) == parse_rule(exact, samples.TOPICS)


def nested(depth: int) -> str:
    """A rule that is `depth` deep: the rule, when, all, conditions."""
    condition: dict[str, Any] = {"path": PATH, "op": "exists"}
    for _ in range(depth - 4):
        condition = {"not": condition}
    return with_condition(**condition)


def test_a_deep_rule_is_refused() -> None:
    assert parse_rule(nested(MAX_DEPTH), samples.TOPICS).version == 2
    assert refused(nested(MAX_DEPTH + 1)) == f"the rule is nested {MAX_DEPTH + 1} deep, allowed are {MAX_DEPTH}"
    assert refused(nested(800)) == f"the rule is nested 800 deep, allowed are {MAX_DEPTH}"


@pytest.mark.parametrize(
    "text",
    ["[" * 60_000, '{"a":' * 10_000, '[{"":' * 5_000 + "1" + "}]" * 5_000, '{"id": "\\"}", "a": ' + "[" * 1_000 + "]" * 1_000 + "}"],
    ids=["lists", "mappings", "both, closed", "behind a quote"],
)
def test_endless_brackets_are_refused(text: str) -> None:
    assert refused(text).endswith(f" deep, allowed are {MAX_DEPTH}")


def test_brackets_in_texts_are_no_depth() -> None:
    text = samples.rule_text(description="[{" * 400 + '\\"[' + "[" * 100)
    assert parse_rule(text, samples.TOPICS).description.startswith("[{[{")


@pytest.mark.parametrize("text", ['"' + '\\"' * 30_000, '"' * 60_001, '"\\' * 30_000], ids=["escaped", "bare", "backslashes"])
def test_quotes_that_do_not_end_are_refused(text: str) -> None:
    """Looking for the end of each text anew would be quadratic."""
    assert refused(text).startswith("not JSON: ")


def test_many_conditions_are_refused() -> None:
    many = [{"path": PATH, "op": "exists"}] * 101
    assert "must have at most 100 entries, not 101" in refused(samples.rule_text(version=2, when={"events": ["*"], "all": many}))


def test_of_a_hundred_thousand_rules_only_those_in_force_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rulebook, "MAX_RULES", 100)
    read: list[str] = []

    def counted(text: str, *rest: Any, **more: Any) -> Rule:
        read.append(text)
        return parse_rule(text, *rest, **more)

    monkeypatch.setattr(rulebook, "parse_rule", counted)
    book = Rulebook([samples.rule_text()], samples.TOPICS)
    text = with_condition(path=PATH, op="exists")
    for number in range(99_999):
        update = book.apply(f"r-{number}", text.replace("a-rule", f"r-{number}"))
        assert update.status == (ACCEPTED if number < 99 else REJECTED)
    assert update.reason == "100 rules are in force, more are not allowed"
    assert len(read) == 100, "the baseline's too"
    assert book.apply("a-rule", samples.rule_text(version=2)).status == ACCEPTED, "those in force go on being changed"


# -- numbers and texts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", ["1e999999", "1E+999999999", "9" * 19, "1_000", "٣", "Infinity", " 1"])
def test_amounts_are_digits(amount: str) -> None:
    reason = refused(with_condition(money="$.order_placed.total", op=">", amount=amount, currency="USD"))
    assert 'must be written like "1000.00"' in reason


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_numbers_are_finite(number: str) -> None:
    text = with_condition(path=PATH, op=">", value=7_777_777).replace("7777777", number)
    assert "must be a text, a number, true or false" in refused(text)


@pytest.mark.parametrize(
    "text",
    [samples.rule_text(description="\ud800"), samples.rule_text(id="\udfff"), samples.rule_text().replace("a-rule", "\ud800")],
    ids=["escaped", "escaped, in the id", "raw"],
)
def test_half_of_a_surrogate_pair_is_refused(text: str) -> None:
    assert refused(text).startswith("not JSON: ")


@pytest.mark.parametrize("text", ['{"id": "a-rule", "id": "b"}', samples.rule_text()[:-1] + ', "version": 2}'])
def test_a_key_that_stands_twice_is_refused(text: str) -> None:
    assert refused(text) in ("not JSON: the key 'id' stands twice", "not JSON: the key 'version' stands twice")


@pytest.mark.parametrize("operator", ["=~", "===", "", "exec", "__eq__", "\n"])
def test_an_operator_that_is_none_is_refused(operator: str) -> None:
    reason = refused(with_condition(path=PATH, op=operator, value=1))
    assert "allowed are == != < <= > >= in contains matches exists" in reason


# -- versions and loops ---------------------------------------------------------------------------------------------------------


def test_a_gap_between_versions_is_no_fault() -> None:
    """Kafka keeps the last version of a rule only: a job that starts then sees gaps."""
    book = Rulebook([samples.rule_text()], samples.TOPICS)
    assert book.apply("a-rule", samples.rule_text(version=2**31 - 1)).status == ACCEPTED
    assert book.apply("a-rule", samples.rule_text(version=7)).status == STALE
    assert "must be less than or equal to 2147483647" in book.apply("a-rule", samples.rule_text(version=2**31)).reason


INTERNAL = [getattr(Topics(), name) for name, each in vars(Topics).items() if isinstance(each, property)]


@pytest.mark.parametrize("topic", [*INTERNAL, "", "orders;events", "*", "../orders"])
def test_a_topic_of_the_jobs_own_is_refused(topic: str) -> None:
    """A rule that routes into the job's input would feed it for ever."""
    with pytest.raises(InvalidRule) as fault:
        parse_rule(samples.rule_text(to=[{"topic": topic}]), Topics.destinations)
    assert str(fault.value) == f"to[0].topic is {topic!r}, allowed are {', '.join(Topics.destinations)}"


# -- files ----------------------------------------------------------------------------------------------------------------------

RULE = "id: a\nversion: 1\nwhen: {events: [order_placed]}\nto: [{topic: orders}]\n"
LAUGHS = "a: &a [ha, ha]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)

FILES: dict[str, tuple[bytes, str]] = {
    "billion laughs": (LAUGHS.encode(), "bad.yaml:2: aliases (*name) are not allowed in rules"),
    "an alias of itself": (b"a: &a [*a]", "bad.yaml:1: aliases (*name) are not allowed in rules"),
    "a merge": (b"a: &a {b: 1}\nc:\n  <<: *a\n", "bad.yaml:3: aliases (*name) are not allowed in rules"),
    "a thousand deep": (b"[" * 1_000 + b"]" * 1_000, f"bad.yaml:1: nested deeper than {MAX_DEPTH}"),
    "a thousand deep, by indentation": (
        "".join(f"{' ' * depth}a:\n" for depth in range(1_000)).encode(),
        f"bad.yaml:{MAX_DEPTH + 1}: nested deeper than {MAX_DEPTH}",
    ),
    "ten megabytes": (b"# " + b"x" * 10_000_000, "bad.yaml:1: the file has 10000002 bytes, allowed are 10000000"),
    "a rule of a megabyte": (f"{RULE}description: {'x' * 1_000_000}\n".encode(), "bad.yaml:1: the rule has 10001"),
    "a key twice": (RULE.encode() + b"version: 2\n", "bad.yaml:5: the key 'version' stands twice"),
    "an id twice": (f"{RULE}---\n{RULE}".encode(), "bad.yaml:6: id 'a' stands twice in these files"),
    "not UTF-8": (RULE.encode() + b"description: gr\xf6\xdfe\n", "bad.yaml:5: not UTF-8: invalid start byte"),
    "half a surrogate pair": (RULE.encode() + b"description: \xed\xa0\x80\n", "bad.yaml:5: not UTF-8: invalid continuation byte"),
    "half a surrogate pair, escaped": (RULE.encode() + b'description: "\\ud800"\n', "bad.yaml:1: not JSON: "),
    "python": (b"id: !!python/object/apply:os.system [ls]\n", "bad.yaml:1: could not determine a constructor for the tag"),
    "its own topic": (RULE.replace("orders}", "events}").encode(), "bad.yaml:4: to[0].topic is 'events', allowed are "),
}


@pytest.mark.parametrize(("content", "fault"), FILES.values(), ids=FILES)
def test_a_file_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(InvalidRule) as refused_file:
        baseline.load(tmp_path, samples.TOPICS)
    assert str(refused_file.value).startswith(fault)
    assert str(refused_file.value).isprintable()


def test_a_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(LAUGHS)
    (tmp_path / "b.yaml").write_text(RULE)
    found = baseline.read_files(sorted(tmp_path.glob("*.yaml")), samples.TOPICS)
    assert list(found.rules) == ["a"]
    assert [(fault.file, fault.line) for fault in found.faults] == [("a.yaml", 2)]
