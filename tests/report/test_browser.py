"""The report in a real Chromium: clicking, reading and printing, on a phone and on a wide screen, light and dark."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from tests.report.chromium import FOUND, Tab, browser
from tests.report.conftest import NOW
from tests.report.reading import is_shown

pytestmark = pytest.mark.skipif(not FOUND, reason="no chromium is installed")

WIDTHS = (390, 1280, 1920)

# Pairs of words whose boxes overlap by more than a hair.
_CROSSINGS = """
(() => {
  const crossing = (boxes) => {
    const found = [];
    for (let a = 0; a < boxes.length; a++) for (let b = a + 1; b < boxes.length; b++) {
      const [one, other] = [boxes[a].box, boxes[b].box];
      const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      if (wide > 1 && high > 2) found.push([boxes[a].words, boxes[b].words]);
    }
    return found;
  };
  const boxes = (all) => [...all].map((each) => ({box: each.getBoundingClientRect(), words: each.textContent.trim()}))
    .filter((each) => each.box.width && each.words);
  const found = [];
  for (const svg of document.querySelectorAll("svg[role=img]")) found.push(...crossing(boxes(svg.querySelectorAll("text"))));
  for (const card of document.querySelectorAll(".card")) {
    found.push(...crossing(boxes(card.querySelectorAll(":scope > header > *, :scope > p"))));
    found.push(...crossing(boxes(card.querySelectorAll("dt, dd"))));
  }
  found.push(...crossing(boxes(document.querySelectorAll(".tiles dt, .tiles dd"))));
  return found;
})()
"""

# Elements outside the window, or a plot's text outside the plot; scrollable elements may be wider.
_SPILLS = """
(() => {
  const width = document.documentElement.clientWidth;
  const found = [];
  for (const each of document.querySelectorAll("body *:not(.skip)")) {
    if (each.closest(".scroll, pre") && !each.matches(".scroll, pre")) continue;
    const box = each.getBoundingClientRect();
    if (box.width && (box.right > width + 1 || box.left < -1)) found.push(each.tagName + " " + each.textContent.slice(0, 40));
  }
  for (const svg of document.querySelectorAll("svg[role=img]")) {
    const around = svg.getBoundingClientRect();
    for (const words of svg.querySelectorAll("text")) {
      const box = words.getBoundingClientRect();
      if (box.right > around.right + 1 || box.left < around.left - 1 || box.bottom > around.bottom + 1) {
        found.push("svg " + words.textContent);
      }
    }
  }
  return found;
})()
"""


@pytest.fixture(autouse=True)
def _loaded(tab: Tab, page: Path) -> None:
    tab.size(1280)
    tab.complaints.clear()
    tab.requests.clear()
    tab.open(_at(page))


def _at(page: Path, days: float = 0) -> str:
    """The page as opened some time after its build, whose clock was set."""
    return f"{page.as_uri()}?as-of={NOW + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"


def test_the_page_makes_no_request_and_has_no_error(tab: Tab, page: Path) -> None:
    tab.click("#unfold")
    tab.until("[...document.querySelectorAll('.more')].every((each) => each.open)")

    assert tab.requests == [_at(page)]
    assert tab.complaints == []
    assert tab.read("window.broken === undefined")


def test_its_own_policy_stops_what_would_slip_in(tab: Tab) -> None:
    tab.read(
        "(() => { const script = document.createElement('script'); script.textContent = 'window.broken = 1'; "
        "document.body.append(script); const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; "
        "document.body.append(image); })()"
    )
    tab.until("true")

    assert tab.read("window.broken === undefined")
    assert len([each for each in tab.complaints if "Content Security Policy" in each]) == 2


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overlaps_and_nothing_leaves_the_page(tab: Tab, width: int, is_dark: bool) -> None:
    tab.size(width, is_dark=is_dark)
    tab.click("#unfold")
    tab.until("[...document.querySelectorAll('.more')].every((each) => each.open)")
    tab.read("document.querySelectorAll('details').forEach((each) => { each.open = true; })")

    assert tab.read("[innerWidth, document.documentElement.clientWidth]")[0] == width
    assert tab.read("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert tab.read(_SPILLS) == []
    assert tab.read(_CROSSINGS) == []
    assert tab.read("[...document.querySelectorAll('svg text')].length") > 100


def test_no_table_is_clipped_on_a_phone(tab: Tab) -> None:
    tab.size(390)
    tab.read("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    # Tables are prepared in the events of their details, which come before any later task.
    tab.read("new Promise((done) => setTimeout(done, 50))")
    tables = "[...document.querySelectorAll('.scroll')]"

    assert tab.read(f"{tables}.filter((each) => each.getClientRects().length).length") > 20
    assert tab.read(
        f"{tables}.filter((each) => each.scrollWidth > each.clientWidth)"
        ".map((each) => each.querySelector('table').dataset.query)"
    ) == []  # fmt: skip
    # The columns are then titled in each row, with the titles that are above them on a wide screen.
    month = "document.querySelector('table[data-query=month]')"
    titles = tab.read(f"[...{month}.querySelectorAll('thead th')].map((each) => each.textContent.trim())")
    shown = f"[...{month}.querySelectorAll('tbody tr:first-child td')]"
    assert len(titles) > 5
    assert (
        tab.read(f"{shown}.map((each) => getComputedStyle(each, '::before').content)")
        == tab.read(f"{shown}.map((each) => JSON.stringify(each.dataset.title))")
        == [json.dumps(title) for title in titles[1:]]
    )
    tab.size(1280)
    assert tab.read(f"getComputedStyle({shown}[0], '::before').content") == "none"


def test_only_the_cards_of_accounts_at_risk_are_unfolded(tab: Tab) -> None:
    cards = tab.read(
        "[...document.querySelectorAll('.card')]"
        ".map((each) => [each.dataset.severity, each.querySelector('.more').open])"
    )

    assert {severity for severity, _ in cards} > {"critical", "ok"}
    assert [is_open for _, is_open in cards] == [
        severity in ("critical", "warning", "unknown") for severity, _ in cards
    ]


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_text_has_enough_contrast(tab: Tab, is_dark: bool) -> None:
    tab.size(1280, is_dark=is_dark)
    ratios = tab.read(
        """
        (() => {
          const light = (words) => {
            const [r, g, b] = words.match(/[\\d.]+/g).map(Number)
              .map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const found = {};
          for (const each of document.querySelectorAll("h1, .headline, .when, dt, dd, .badge, .reason, .note, a, summary, figcaption, pre, caption, select")) {
            let ground = each;
            while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
            const [one, other] = [getComputedStyle(each).color, getComputedStyle(ground).backgroundColor].map(light);
            found[each.className + " " + each.tagName] = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
          }
          return found;
        })()
        """
    )

    assert len(ratios) > 10
    # WCAG's requirement for text.
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}


def test_a_number_is_three_clicks_from_its_bytes(tab: Tab, build: duckdb.DuckDBPyConnection) -> None:
    rows = build.execute("SELECT account_id, fetch_id FROM marts.account_status WHERE severity = 'ok'").fetchall()
    account_id, fetch_id = rows[0]
    card = f"#account-{account_id}"
    if not tab.read(f"document.querySelector('{card} .more').open"):
        tab.click(f"{card} .more > summary")
    shown = f"document.querySelector('{card} .bytes').checkVisibility({{contentVisibilityAuto: true}})"
    assert not tab.read(shown)

    tab.click(f"{card} .more > .source > summary")
    tab.click(f"{card} .answer > summary")

    tab.until(shown)
    assert fetch_id in tab.read(f"document.querySelector('{card} .bytes').textContent")
    tab.read("navigator.clipboard.writeText = (words) => { window.copied = words; return Promise.resolve(); }")
    tab.click(f"{card} .answer .copy")
    tab.until("window.copied !== undefined")
    assert tab.read("window.copied") == tab.read(f"document.querySelector('{card} .bytes').textContent")


def test_the_cards_are_filtered_sorted_and_found(tab: Tab, build: duckdb.DuckDBPyConnection) -> None:
    shown = "[...document.querySelectorAll('.card')].filter((each) => each.checkVisibility()).map((each) => each.dataset.account)"

    def choose(name: str, value: str) -> list[str]:
        tab.read(
            f"(() => {{ const each = document.getElementById('{name}'); each.value = {json.dumps(value)}; "
            "each.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )
        return list(tab.read(shown))

    def asked(query: str) -> list[str]:
        return [account_id for (account_id,) in build.execute(query).fetchall()]

    everyone = tab.read(shown)
    count = len(everyone)
    assert tab.read("document.getElementById('shown').textContent") == f"{count} of {count} accounts"
    ok = choose("severity", "ok")
    assert sorted(ok) == asked("SELECT account_id FROM marts.account_status WHERE severity = 'ok' ORDER BY 1")
    assert tab.read("document.getElementById('shown').textContent") == f"{len(ok)} of {count} accounts"
    choose("severity", "")
    assert choose("team", "growth") == asked("SELECT account_id FROM core.accounts WHERE team = 'growth'")
    choose("team", "")
    assert choose("order", "account") == asked("SELECT account_id FROM marts.account_status ORDER BY 1")
    days = choose("order", "days")
    assert days[:3] == asked("SELECT account_id FROM marts.account_status ORDER BY runway_days NULLS LAST, 1")[:3]
    worth = choose("order", "worth")
    assert (
        worth[:3]
        == asked("SELECT account_id FROM marts.account_status ORDER BY reporting_balance_amount NULLS LAST")[:3]
    )
    assert choose("order", "urgency") == everyone
    tab.click("#find")
    tab.type("CAMPAIGN")
    tab.until(f"{shown}.length === 1")
    assert tab.read(shown) == ["voxpria-campaign"]


def test_the_numbers_on_the_screen_are_those_of_the_build(tab: Tab, build: duckdb.DuckDBPyConnection) -> None:
    displayed = tab.read(
        "Object.fromEntries([...document.querySelectorAll('.card')].map((card) => [card.dataset.account, "
        "[card.querySelector('.big').innerText, card.querySelector('.badge').innerText]]))"
    )
    rows = build.execute("SELECT account_id, balance_amount, unit_code, severity FROM marts.account_status").fetchall()

    assert len(displayed) == len(rows)
    for account_id, balance, unit, severity in rows:
        words, badge = displayed[account_id]
        assert badge == severity
        if balance is not None:
            number, said = words.split(" ", 1)
            assert said == unit
            assert is_shown(number, balance, "balance_amount")
    # Also as stated by a plot: the closing balance of the bridge.
    words = tab.read(
        "[...document.querySelectorAll('#account-vpsbg-main .drawdown-bridge text')].map((each) => each.textContent)"
    )
    [(balance,)] = build.execute(
        "SELECT arg_max(closing_amount, closed_at_utc) FROM core.balance_bridge WHERE account_id = 'vpsbg-main'"
    ).fetchall()
    assert words[-2] == "Closing"
    assert is_shown(words[-1], balance, "closing_amount")


def test_a_link_to_an_account_opens_its_card(tab: Tab) -> None:
    tab.read("document.querySelectorAll('.more').forEach((each) => { each.open = false; })")
    tab.click(".risks a")
    tab.until("document.querySelector(location.hash + ' .more').open")


def test_a_screen_reader_finds_its_way(tab: Tab) -> None:
    tab.read("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    nodes = tab.send("Accessibility.getFullAXTree")["nodes"]

    def named(role: str) -> list[str]:
        return [
            node.get("name", {}).get("value", "")
            for node in nodes
            if not node.get("ignored") and node.get("role", {}).get("value") == role
        ]

    assert len(named("main")) == len(named("banner")) == len(named("contentinfo")) == 1
    assert named("navigation") == ["Sections"]
    # Each plot has a name, each table a caption, each control a label, each section a heading.
    for role, least in (("image", 10), ("table", 20), ("combobox", 3), ("searchbox", 1), ("region", 6), ("article", 5)):
        names = named(role)
        assert len(names) >= least, role
        assert all(names), role
    levels = [
        int(next(each["value"]["value"] for each in node["properties"] if each["name"] == "level"))
        for node in nodes
        if not node.get("ignored") and node.get("role", {}).get("value") == "heading"
    ]
    assert levels[0] == 1
    assert all(level <= before + 1 for before, level in pairwise(levels))
    assert tab.read("[...document.querySelectorAll('svg[role=img]')].every((svg) => svg.querySelector('title').textContent "
                    "&& svg.querySelector('desc').textContent && svg.closest('figure').querySelector('table') "
                    "|| svg.closest('section').querySelector('table'))")  # fmt: skip


def test_on_paper_every_card_is_unfolded_and_black_on_white(tab: Tab) -> None:
    tab.size(1280, is_dark=True)
    tab.read("document.querySelectorAll('.more').forEach((each) => { each.open = false; })")
    paper = tab.paper()
    tab.send("Emulation.setEmulatedMedia", media="print")
    try:
        assert tab.read("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.read("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        hidden = "[...document.querySelectorAll('.card svg')].filter((each) => !each.getClientRects().length).length"
        assert tab.read(hidden) == 0
        assert tab.read("document.querySelector('nav').getClientRects().length") == 0
    finally:
        tab.send("Emulation.setEmulatedMedia", media="")

    assert paper.startswith(b"%PDF")
    assert len(paper) > 50_000


def test_without_script_all_of_it_can_be_read(tmp_path: Path, page: Path) -> None:
    with browser(tmp_path, with_script=False) as plain:
        plain.size(390)
        plain.open(_at(page))
        document = plain.send("DOM.getDocument", depth=-1)["root"]["nodeId"]
        form = plain.send("DOM.querySelector", nodeId=document, selector="#tools")["nodeId"]
        assert "hidden" in plain.send("DOM.getAttributes", nodeId=form)["attributes"]
        cards = plain.send("DOM.querySelectorAll", nodeId=document, selector=".card")["nodeIds"]
        assert len(cards) > 5
        for card in cards:
            box = plain.send("DOM.getBoxModel", nodeId=card)["model"]
            assert box["width"] > 300
            assert box["height"] > 100
        assert plain.complaints == []


def test_a_page_opened_late_marks_what_has_become_stale_and_urgent(tab: Tab, page: Path) -> None:
    assert tab.read("document.getElementById('aged').hidden")
    fresh = tab.read(
        "[...document.querySelectorAll('.card')].filter((each) => each.dataset.reading === 'fresh').length"
    )
    critical = "[...document.querySelectorAll('.card.critical')].length"
    before = tab.read(critical)
    assert fresh > 0

    tab.open(_at(page, days=60))
    assert tab.read("[...document.querySelectorAll('.card')].every((each) => each.dataset.reading !== 'fresh')")
    assert tab.read("[...document.querySelectorAll('.badge.stale')].length") >= fresh
    assert tab.read(critical) > before
    folded = "[...document.querySelectorAll('.card.critical')].filter((each) => !each.querySelector('.more').open)"
    assert tab.read(f"{folded}.length") == 0
    advice = (
        "[...document.querySelectorAll('.card')].filter((each) => each.dataset.orderBy)"
        ".map((each) => each.querySelector('.advice').textContent)"
    )
    assert any("The last day to order has passed since: order now." in each for each in tab.read(advice))
    displayed = tab.read("document.getElementById('aged').textContent")
    assert displayed.startswith("Since this page was made, more urgent: ")
    assert not tab.read("document.getElementById('aged').hidden")
    assert tab.complaints == []
