"""Shape of answers: new, missing and renamed fields, and answers that state their own failure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from pipeline.staging.answers import Drift, Landed, Refusal, shown
from pipeline.support.json_paths import dig
from pipeline.vendors._port import Endpoint, Records

# Keys in which vendors state the reason, besides the flag.
_EXPLANATIONS = ("message", "error", "error_message", "error_reason", "detail", "reason", "errors")


def failures(endpoint: Endpoint, answers: Sequence[Landed]) -> dict[int, Refusal]:
    """Answers that state their own failure, by position, with the vendor's message."""
    found: dict[int, Refusal] = {}
    for index, answer in enumerate(answers):
        if endpoint.says_it_failed(answer.payload):
            above, _, key = endpoint.success_at.rpartition(".")
            holder = dig(answer.payload, above)
            said = holder if isinstance(holder, dict) else {}
            words = next((said[name] for name in _EXPLANATIONS if said.get(name)), said.get(key))
            found[index] = Refusal(endpoint.success_at, "is_success", shown(words))
    return found


def see_envelope(endpoint: Endpoint, answers: Sequence[Landed], refused: Mapping[int, Refusal]) -> list[Drift]:
    """Record new and missing keys around the rows."""
    drift: list[Drift] = []
    if not endpoint.envelope:
        return drift
    for index, answer in enumerate(answers):
        if index in refused or not isinstance(answer.payload, dict):
            continue
        for key in answer.payload.keys() - set(endpoint.envelope):
            drift.append(Drift(index, 1, key, "unknown_field", shown(answer.payload[key])))
        for key in set(endpoint.envelope) - answer.payload.keys():
            drift.append(Drift(index, 1, key, "missing_field", None))
    return drift


def see_rows(
    records: Records,
    rows: list[Mapping[str, object]],
    owners: list[int],
    numbers: list[int],
    answers: Sequence[Landed],
) -> list[Drift]:
    """Record new, missing and renamed fields of the rows."""
    drift: list[Drift] = []
    known = {source.split(".")[0] for field in records.fields for source in field.sources} | set(records.ignored)
    aliases = [(field, source) for field in records.fields for source in field.sources[1:]]
    # Most answers look alike, so each distinct set of keys is compared only once.
    verdicts: dict[tuple[tuple[str, ...], ...], tuple[set[str], list[str]]] = {}
    start = 0
    for owner in range(len(answers)):
        # Rows are sorted by answer. Those with the same keys give the same result, so the first suffices.
        end = bisect_left(owners, owner + 1, start)
        mine = range(start, end)
        start = end
        if not mine:
            continue
        shapes = dict(zip(map(tuple, reversed(rows[mine.start : mine.stop])), reversed(mine), strict=True))
        looks = tuple(shapes)
        if looks not in verdicts:
            verdicts[looks] = _verdict(records, {key for shape in looks for key in shape}, known)
        unknown, missing = verdicts[looks]
        for key in unknown:
            index = min(index for shape, index in shapes.items() if key in shape)
            drift.append(Drift(owner, numbers[index], key, "unknown_field", shown(rows[index][key])))
        drift += [Drift(owner, numbers[mine[0]], source, "missing_field", None) for source in missing]
        for field, source in aliases:
            if any(source.split(".")[0] in shape for shape in looks):
                drift += [
                    Drift(owner, numbers[index], source, "renamed_field", field.sources[0])
                    for index in mine
                    if dig(rows[index], source) is not None
                ]
    return drift


def _verdict(records: Records, keys: set[str], known: set[str]) -> tuple[set[str], list[str]]:
    """Keys that nothing reads, and documented fields that are missing."""
    missing = [
        field.sources[0]
        for field in records.fields
        if field.is_documented and not any(source.split(".")[0] in keys for source in field.sources)
    ]
    return keys - known, missing
