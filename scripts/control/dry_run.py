"""What a change of rules would have done to events that have come already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.settings import Settings
from scripts.control.evaluate import Evaluator, Outcome
from scripts.control.reading import Record
from scripts.control.sources import plural, table
from udfs.rules.language import Rule
from udfs.validation import InvalidEvent, decode

SAMPLES: Final = 5


@dataclass(frozen=True)
class Sample:
    """An event that goes another way."""

    event_id: str
    event_type: str
    before: Outcome
    after: Outcome

    def __str__(self) -> str:
        form = " in another form" if self.before.topics == self.after.topics and str(self.before) == str(self.after) else ""
        return f"{self.event_id} {self.event_type}: before {self.before}; after {self.after}{form}"


@dataclass
class Effect:
    """The rules in force and the candidates over the same events. Counters by rule id and by destination."""

    events: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    changed: int = 0
    samples: list[Sample] = field(default_factory=list)
    matches: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))
    shadow: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))
    routed: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))

    def as_json(self) -> dict[str, Any]:
        return {
            "events": self.events, "duplicates": self.duplicates, "dead_letters": self.dead_letters, "changed": self.changed,
            "matches": _sides(self.matches), "shadow_matches": _sides(self.shadow), "routed": _sides(self.routed),
            "samples": [
                {"event_id": each.event_id, "type": each.event_type, "before": _way(each.before), "after": _way(each.after)}
                for each in self.samples
            ],
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        left_out = f", {plural(self.duplicates, 'duplicate')} and {plural(self.dead_letters, 'dead letter')} left out"
        yield plural(self.events, "event") + (left_out if self.duplicates or self.dead_letters else "")
        for title, sides in (("matches by rule", self.matches), ("shadow matches", self.shadow), ("events by destination", self.routed)):
            rows = [(name, each["before"], each["after"]) for name, each in _sides(sides).items()]
            if rows:
                yield ""
                yield from table([(title, "before", "after"), *rows])
        yield ""
        yield f"{plural(self.changed, 'event')} would go another way"
        for sample in self.samples:
            yield f"  {sample}"


def dry_run(records: Iterable[Record], before: Mapping[str, Rule], after: Mapping[str, Rule]) -> Effect:
    """Evaluates both sets of rules over the records of the input topic, as the job does: each event once, no dead letters."""
    effect = Effect()
    evaluators = Evaluator(before.values()), Evaluator(after.values())
    seen: set[str] = set()
    for record in records:
        try:
            event, kind = decode(record.value or b"", record.time_ms, Settings.max_clock_gap_ms, Settings.max_event_bytes)
        except InvalidEvent:
            effect.dead_letters += 1
            continue
        if event.event_id in seen:
            effect.duplicates += 1
            continue
        seen.add(event.event_id)
        effect.events += 1
        outcomes = [evaluator.outcome(event) for evaluator in evaluators]
        for side, outcome in enumerate(outcomes):
            effect.matches[side].update(outcome.matched)
            effect.shadow[side].update(outcome.shadow)
            effect.routed[side].update(outcome.topics)
        if outcomes[0].forms != outcomes[1].forms:
            effect.changed += 1
            if len(effect.samples) < SAMPLES:
                effect.samples.append(Sample(event.event_id, kind, *outcomes))
    return effect


def _sides(sides: tuple[Counter[str], Counter[str]]) -> dict[str, dict[str, int]]:
    return {name: {"before": sides[0][name], "after": sides[1][name]} for name in sorted(sides[0].keys() | sides[1].keys())}


def _way(outcome: Outcome) -> dict[str, Any]:
    return {"matched": outcome.matched, "ordered": outcome.ordered, "unordered": outcome.unordered}
