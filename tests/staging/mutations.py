"""Bodies that a vendor might send on a bad day: the documented ones with a mutated structure."""

from __future__ import annotations

import copy
import csv
import io
import json
from random import Random
from typing import Any

from hypothesis import strategies as st

from pipeline.vendors._port import Endpoint, Vendor
from tests.vendors.examples import decoded, example

STRANGE: list[Any] = [
    None, True, False, 0, -1, 5, 2**63, 2**70, 10**30, "", " ", "5", "-5", "$5", "1,234.50", "1e400", "1e-20", "NaN",
    "0.0000000001", "9" * 40, "x" * 500, "\u0000", "\U0001d7d3", "𝟓", "EUR", "eur", "credits", "2026-03-18",
    "2026-02-30", "0000-01-01", "9999-12-31", "2026-03-18T00:00:00", "2026-03-18T00:00:00Z", "0000-01-01T00:00:00Z",
    "2026-03-18T23:59:60Z", "2026-03-18T00:00:00+25:00", [], {}, [None], [[]], [5], {"amount": 5}, {"b": [2**70, "é"]},
]  # fmt: skip

Path = tuple[str | int, ...]


def original(vendor: Vendor, endpoint: Endpoint) -> Any:
    """An endpoint's documented example, decoded."""
    return decoded(example(vendor.name, endpoint.name, endpoint.body), endpoint.body)


def encoded(endpoint: Endpoint, payload: Any) -> bytes:
    """A payload as its original body; CSV flattens what it cannot represent."""
    if endpoint.body != "csv":
        return json.dumps(payload).encode()
    rows = [row for row in payload if isinstance(row, dict)] if isinstance(payload, list) else []
    names = list(dict.fromkeys(name for row in rows for name in row if name.strip() == name and name)) or ["nothing"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()})
    return text.getvalue().replace("\0", "").encode()


def places(value: Any, here: Path = ()) -> list[Path]:
    """Paths to everything in a decoded body, itself included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(place for key, each in inner for place in places(each, (*here, key)))]


def _meddle(payload: Any, place: Path, how: str, value: Any, name: str) -> Any:
    if not place:
        return {"retype": value, "null": None, "nest": [payload], "wrap": {name: payload}}.get(how, payload)
    holder = payload
    for key in place[:-1]:
        holder = holder[key]
    key = place[-1]
    if how == "drop":
        del holder[key]
    elif how == "rename" and isinstance(holder, dict):
        holder[name] = holder.pop(key)
    elif how == "duplicate" and isinstance(holder, list):
        holder.insert(int(key), copy.deepcopy(holder[key]))
    elif how == "duplicate" and isinstance(holder, dict):
        holder[name] = copy.deepcopy(holder[key])
    elif how == "retype":
        holder[key] = value
    elif how == "null":
        holder[key] = None
    elif how == "nest":
        holder[key] = [holder[key]]
    elif how == "wrap":
        holder[key] = {name: holder[key]}
    return payload


_WAYS = ("drop", "rename", "duplicate", "retype", "null", "nest", "wrap")
_NAMES = ("amount", "data", "balance", "id", "x", "x.y", "é", "usage")


def meddled(random: Random, payload: Any) -> Any:
    """The payload, modified in place by one change that the generator draws."""
    place = random.choice(places(payload))
    return _meddle(payload, place, random.choice(_WAYS), copy.deepcopy(random.choice(STRANGE)), random.choice(_NAMES))


@st.composite
def mutated(draw: st.DrawFn, whole: Any) -> Any:
    """The payload after one to five changes: dropped, renamed, retyped, nested, duplicated, made null."""
    payload = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.sampled_from(places(payload)))
        how = draw(st.sampled_from(_WAYS))
        name = draw(st.sampled_from(_NAMES))
        payload = _meddle(payload, place, how, copy.deepcopy(draw(st.sampled_from(STRANGE))), name)
    return payload
