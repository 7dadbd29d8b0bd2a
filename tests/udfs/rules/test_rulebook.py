"""Which rules are in force after a sequence of updates, and after a restart in the middle of it."""

from __future__ import annotations

import json
import logging
from typing import Any, NamedTuple

import pytest

from tests.udfs import samples
from udfs.rules.engine import NOWHERE, Route
from udfs.rules.language import InvalidRule
from udfs.rules.rulebook import ACCEPTED, DELETED, MAX_REASON_LENGTH, MAX_RULES, REJECTED, STALE, Rulebook, Update


def text(version: int, topic: str = "orders", rule_id: str = "a", **changes: Any) -> str:
    return samples.rule_text(id=rule_id, version=version, to=[{"topic": topic}], **changes)


def deleted(version: int, rule_id: str = "a") -> str:
    return json.dumps({"id": rule_id, "version": version, "deleted": True})


def rulebook(*baseline: str, topics: tuple[str, ...] = samples.TOPICS) -> Rulebook:
    return Rulebook(baseline, topics)


def in_force(book: Rulebook) -> dict[str, int]:
    """Rule id -> version. That the compiled rules are these is checked by routing an order."""
    event = samples.event("order_placed")
    topics = sorted({to.topic for rule in book if rule.live for to in rule.to})
    assert sorted(book.rule_set.route(event, "order_placed").ordered.split(";")) == (topics or [""])
    return {rule.id: rule.version for rule in book}


class Step(NamedTuple):
    """One record of the rules topic (None: a tombstone), what becomes of it, and the versions in force after it."""

    record: str | None
    status: str
    version: int
    in_force: dict[str, int]
    reason: str = ""
    key: str = "a"


def limit(value: float) -> str:
    return text(1, when={"events": ["*"], "all": [{"path": "$.order_placed.total.amount_minor", "op": ">=", "value": value}]})


NO_SUCH = "there is no such rule to delete"
V1, V2, V3 = text(1), text(2, "payments"), text(3, "fraud-detection")
BROKEN = text(9, "nowhere")

TIMELINES: dict[str, tuple[tuple[str, ...], list[Step]]] = {
    # records   1 2 4          a higher version replaces a lower one, gaps are allowed
    # in force  1 2 4
    "updates": (
        (),
        [Step(V1, ACCEPTED, 1, {"a": 1}), Step(V2, ACCEPTED, 2, {"a": 2}), Step(text(4), ACCEPTED, 4, {"a": 4})],
    ),
    # baseline  1
    # records     3 2 3'       an older version, or another text of the same version, changes nothing
    # in force  1 3 3 3
    "stale": (
        (V1,),
        [
            Step(V3, ACCEPTED, 3, {"a": 3}),
            Step(V2, STALE, 2, {"a": 3}, "version 3 is in force, an update must have a higher one"),
            Step(text(3, "orders"), STALE, 3, {"a": 3}, "version 3 is in force, an update must have a higher one"),
        ],
    ),
    # records   2 x ? 3        a faulty update leaves the previous version in force
    # in force  2 2 2 3
    "rejected": (
        (),
        [
            Step(V2, ACCEPTED, 2, {"a": 2}),
            Step(BROKEN, REJECTED, 2, {"a": 2}, "to[0].topic is 'nowhere', allowed are orders, payments, fraud-detection"),
            Step("{", REJECTED, 2, {"a": 2}, "not JSON: "),
            Step(V3, ACCEPTED, 3, {"a": 3}),
        ],
    ),
    "rejected as the first": ((), [Step(BROKEN, REJECTED, 0, {}, "to[0].topic is 'nowhere'")]),
    # records   2 - - 2 1 3    the version of a deleted rule is not forgotten
    # in force  2         3
    "deleted and made again": (
        (),
        [
            Step(V2, ACCEPTED, 2, {"a": 2}),
            Step(None, DELETED, 2, {}),
            Step(None, STALE, 2, {}, NO_SUCH),
            Step(V2, STALE, 2, {}, "version 2 is in force"),
            Step(V1, STALE, 1, {}, "version 2 is in force"),
            Step(V3, ACCEPTED, 3, {"a": 3}),
            Step("", DELETED, 3, {}),
        ],
    ),
    "deleted baseline": ((V1,), [Step(None, DELETED, 1, {}), Step(V1, STALE, 1, {}), Step(V2, ACCEPTED, 2, {"a": 2})]),
    "nothing to delete": ((V1,), [Step(None, STALE, 0, {"a": 1}, NO_SUCH, key="b"), Step(None, STALE, 0, {"a": 1}, NO_SUCH, key="")]),
    # records   1 1 2 2        the same again is accepted: a push can be repeated
    "pushed again": (
        (V1,),
        [
            Step(V1, ACCEPTED, 1, {"a": 1}, "already in force"),
            Step(V2, ACCEPTED, 2, {"a": 2}),
            Step(V2, ACCEPTED, 2, {"a": 2}, "already in force"),
            Step(json.dumps(json.loads(V2), indent=4), ACCEPTED, 2, {"a": 2}, "already in force"),
        ],
    ),
    # records   1 1'           true is not 1, though Python says that they are equal
    "another type is another rule": (
        (),
        [Step(limit(1), ACCEPTED, 1, {"a": 1}), Step(limit(True), STALE, 1, {"a": 1}), Step(limit(1.0), STALE, 1, {"a": 1})],
    ),
    "key differs from id": (
        (V1,),
        [
            Step(V2, REJECTED, 0, {"a": 1}, "id is 'a', the record's key 'b': they must be equal", key="b"),
            Step(V2, REJECTED, 0, {"a": 1}, "id is 'a', the record's key '': they must be equal", key=""),
        ],
    ),
    "rules do not touch each other": (
        (V1,),
        [
            Step(text(7, rule_id="b"), ACCEPTED, 7, {"a": 1, "b": 7}, key="b"),
            Step(None, DELETED, 1, {"b": 7}),
            Step(V2, ACCEPTED, 2, {"a": 2, "b": 7}),
        ],
    ),
    "disabled": ((V1,), [Step(text(2, enabled=False), ACCEPTED, 2, {"a": 2}), Step(V3, ACCEPTED, 3, {"a": 3})]),
    "paused": ((V1,), [Step(text(2, mode="paused"), ACCEPTED, 2, {"a": 2}), Step(V3, ACCEPTED, 3, {"a": 3})]),
}


@pytest.mark.parametrize(("baseline", "steps"), TIMELINES.values(), ids=TIMELINES)
def test_timeline(baseline: tuple[str, ...], steps: list[Step]) -> None:
    book = rulebook(*baseline)
    state: dict[str, str] = {}
    for step in steps:
        update = book.apply(step.key, step.record)
        if update.keep is not None:
            state[update.rule_id] = update.keep
        assert (update.rule_id, update.status, update.version) == (step.key, step.status, step.version)
        assert update.reason.startswith(step.reason)
        assert bool(update.reason) == bool(step.reason) or step.status == STALE
        assert (update.keep is not None) == (step.status in (ACCEPTED, DELETED))
        assert in_force(book) == step.in_force
        restarted = rulebook(*baseline)
        restarted.restore(state)
        assert in_force(restarted) == step.in_force, "a restart here changes nothing"


RESTORED: dict[str, tuple[tuple[str, ...], dict[str, str], dict[str, int], str]] = {
    # name: baseline, state, versions in force, topic that orders go to
    "nothing kept": ((V1,), {}, {"a": 1}, "orders"),
    "state without baseline": ((), {"a": V2}, {"a": 2}, "payments"),
    "state newer": ((V1,), {"a": V2}, {"a": 2}, "payments"),
    "baseline newer": ((V3,), {"a": V2}, {"a": 3}, "fraud-detection"),
    "same version: the state's": ((text(2),), {"a": V2}, {"a": 2}, "payments"),
    "deletion newer": ((V1,), {"a": deleted(2)}, {}, ""),
    "deletion of the same version": ((V1,), {"a": deleted(1)}, {}, ""),
    "baseline newer than the deletion": ((V2,), {"a": deleted(1)}, {"a": 2}, "payments"),
    "deletion without baseline": ((), {"a": deleted(1)}, {}, ""),
    "others stay": ((text(1, rule_id="b"),), {"a": deleted(1)}, {"b": 1}, "orders"),
    "no longer valid": ((), {"a": BROKEN, "b": text(2, rule_id="b")}, {"b": 2}, "orders"),
    "no longer valid, over a baseline": ((V1,), {"a": BROKEN}, {"a": 1}, "orders"),
    "no longer valid, but older than the baseline": ((V3,), {"a": text(2, "nowhere")}, {"a": 3}, "fraud-detection"),
}


@pytest.mark.parametrize(("baseline", "state", "versions", "topic"), RESTORED.values(), ids=RESTORED)
def test_restore(baseline: tuple[str, ...], state: dict[str, str], versions: dict[str, int], topic: str) -> None:
    book = rulebook(*baseline)
    book.restore(state)
    assert in_force(book) == versions
    assert book.rule_set.route(samples.event("order_placed"), "order_placed") == Route(topic, "")


def test_a_kept_rule_that_is_no_longer_valid_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        rulebook(V1).restore({"a": BROKEN})
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("rule a version 9, kept in state, is no longer valid and not in force: to[0].topic is 'nowhere'")


def test_a_kept_rule_that_is_no_longer_valid_keeps_its_version() -> None:
    book = rulebook(V1)
    book.restore({"a": BROKEN})
    assert book.apply("a", V3).status == STALE, "version 9 has been in force"
    assert book.apply("a", text(10)).status == ACCEPTED


def test_a_deletion_is_remembered_after_a_restart() -> None:
    book = rulebook(V1)
    book.restore({"a": deleted(2)})
    assert book.apply("a", V2).status == STALE
    assert book.apply("a", None).status == STALE
    assert book.apply("a", V3) == Update("a", 3, ACCEPTED, "", V3)


def test_what_is_kept() -> None:
    book = rulebook()
    assert book.apply("a", V1).keep == V1
    assert json.loads(book.apply("a", None).keep or "") == {"id": "a", "version": 1, "deleted": True, "number": 1}


def test_only_the_last_deletions_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two subtasks, of which one is restored in the middle from what the other has kept: both forget the same."""
    monkeypatch.setattr("udfs.rules.rulebook.MAX_DELETED", 3)
    names = [f"r{number}" for number in range(20)]
    baseline = text(1, rule_id="base")
    books = [rulebook(baseline)]
    state: dict[str, str] = {}

    def apply(rule_id: str, record: str | None) -> None:
        updates = [book.apply(rule_id, record) for book in books]
        assert all(update == updates[0] for update in updates)
        if updates[0].keep is not None:
            state[rule_id] = updates[0].keep
        for forgotten in updates[0].forget:
            del state[forgotten]

    apply("base", None)
    for number, name in enumerate(names):
        apply(name, text(5, rule_id=name))
        apply(name, None)
        if number == 10:  # in another order than that of the deletions
            books.append(rulebook(baseline))
            books[1].restore(dict(sorted(state.items(), reverse=True)))
    assert sorted(state) == ["base", "r17", "r18", "r19"], "that of the baseline is always remembered"
    for book in books:
        assert book.apply("r16", text(1, rule_id="r16")).status == ACCEPTED, "forgotten"
        assert book.apply("r17", text(5, rule_id="r17")).status == STALE
        assert book.apply("base", baseline).status == STALE
    apply("r17", text(6, rule_id="r17"))
    for name in ("r18", "x1", "x2"):
        apply(name, text(6, rule_id=name))
        apply(name, None)
    assert sorted(state) == ["base", "r17", "r18", "x1", "x2"], "r17 is in force again, and r19 has become the oldest deletion"
    assert all(book.apply("r17", text(5, rule_id="r17")).status == STALE for book in books)


def test_deletions_of_an_older_job_have_no_numbers() -> None:
    book = rulebook()
    book.restore({"b": deleted(1, "b"), "a": deleted(1)})
    assert book.apply("a", V1).status == STALE
    book.apply("c", text(1, rule_id="c"))
    assert json.loads(book.apply("c", None).keep or "")["number"] == 1


def test_what_is_kept_but_not_in_force_can_be_deleted_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("udfs.rules.rulebook.MAX_RULES", 1)
    book = rulebook()
    book.restore({"a": BROKEN})
    assert book.apply("b", text(1, rule_id="b")).status == REJECTED
    assert book.apply("a", None) == Update("a", 9, DELETED, "", json.dumps(json.loads(deleted(9)) | {"number": 1}))
    assert book.apply("b", text(1, rule_id="b")).status == ACCEPTED


def test_a_baseline_that_is_not_valid_is_refused() -> None:
    with pytest.raises(InvalidRule, match=r"to\[0\]\.topic"):
        rulebook(BROKEN)


def test_no_rules_route_nowhere() -> None:
    assert rulebook().rule_set.route(samples.event(), "product_viewed") == NOWHERE


@pytest.mark.parametrize("bad_id", ["\x00\n", "\x7f" * 9_000, "ü" * 9_000], ids=["control characters", "long", "long, of two bytes"])
def test_a_reason_can_be_sent(bad_id: str) -> None:
    update = rulebook().apply("a", json.dumps({**samples.rule(), bad_id: 1}))
    assert update.status == REJECTED
    assert update.reason.startswith(bad_id[:1].encode("unicode_escape").decode() if not bad_id.isprintable() else bad_id[:1])
    assert update.reason.isprintable()
    assert len(update.reason) <= MAX_REASON_LENGTH


def test_masking_needs_a_key() -> None:
    masked = samples.rule_text(id="a", to=[{"topic": "orders", "mask": ["user_id"]}])
    assert rulebook().apply("a", masked).reason == "to[0].mask needs the job's --mask-key-file"
    assert Rulebook((), samples.TOPICS, b"a key").apply("a", masked).status == ACCEPTED


def test_no_more_rules_than_are_allowed() -> None:
    def one(number: int, version: int = 1) -> tuple[str, str]:
        return f"r{number}", text(version, rule_id=f"r{number}")

    book = rulebook(*(one(number)[1] for number in range(MAX_RULES)))
    full = book.apply(*one(100_000))
    assert (full.status, full.reason) == (REJECTED, f"{MAX_RULES} rules are in force, more are not allowed")
    assert book.apply(*one(7, 2)).status == ACCEPTED, "a rule in force can be changed"
    assert book.apply("r8", None).status == DELETED
    assert book.apply(*one(100_000)).status == ACCEPTED, "there is room again"
    assert book.apply(*one(100_001)).status == REJECTED
    assert len(list(book)) == MAX_RULES


def test_no_larger_baseline_than_is_allowed() -> None:
    with pytest.raises(InvalidRule, match=f"the baseline has {MAX_RULES + 1} rules, allowed are {MAX_RULES}"):
        rulebook(*(text(1, rule_id=f"r{number}") for number in range(MAX_RULES + 1)))
