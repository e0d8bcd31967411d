"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const box = at("cards"), cards = [...box.children], tools = at("tools");

  // Readings become stale and days run out without a new page, too: the rules of pipeline/models/status_at.py.
  const DAY = 86400000;
  const CRITICAL_DAYS = {{ critical_days }}, WARNING_DAYS = {{ warning_days }}, WATCH_DAYS = {{ watch_days }};
  const RANKS = ["critical", "warning", "unknown", "watch", "ok"];
  const judge = (facts, asOf, now) => {
    // Unknown values are NaN, for which every comparison is false.
    const number = (key) => (facts[key] ? Number(facts[key]) : NaN);
    const dates = Math.floor(now / DAY) - Math.floor(asOf / DAY);
    const days = Math.max(number("days") - (facts.byDay ? dates : (now - asOf) / DAY), 0);
    const cautious = (Date.parse(facts.dry10 || "") - Math.floor(now / DAY) * DAY) / DAY;
    const age = Math.max(now - Date.parse(facts.observed || ""), 0);
    const resets = Date.parse(facts.resets || ""), isReset = resets > Date.parse(facts.observed || "") && resets <= now;
    const isOld = age / 1000 > number("staleAfter") || isReset;
    const state = facts.reading === "fresh" && isOld ? "stale" : facts.reading;
    // Nothing is known of a quota since a reset that no reading has followed.
    if (isReset) return { severity: "unknown", state, days: NaN };
    const balance = number("balance"), read = Math.floor(Date.parse(facts.observed || "") / DAY);
    const byDate = facts.byDay ? balance / (Math.floor(Date.parse(facts.dry50 || "") / DAY) - read) : 0;
    const aDay = number("burn") > 0 ? number("burn") : byDate > 0 ? byDate : 0;
    const isAged = balance > 0 && !facts.toppedUp && (state === "stale" || age >= DAY);
    const left = isAged ? Math.max(balance - (aDay * age) / DAY, 0) : balance;
    const is = (severity) => facts.severity === severity;
    let severity = facts.severity;
    if (is("critical") || days <= CRITICAL_DAYS) severity = "critical";
    else if (
      is("warning") || days <= WARNING_DAYS || cautious <= CRITICAL_DAYS || days < number("belowDays") ||
      left < number("belowAmount")
    ) severity = "warning";
    else if (is("watch") || days <= WATCH_DAYS || cautious <= WARNING_DAYS || left < number("threshold")) severity = "watch";
    return { severity, state, days };
  };
  // end of the rules

  // The page's age is only known when it is opened; `?as-of=` replaces the clock by an instant.
  const asOf = Date.parse(at("as-of").dateTime), asked = Date.parse(new URLSearchParams(location.search).get("as-of") || "");
  const now = Math.max(Number.isNaN(asked) ? Date.now() : asked, asOf);
  const minutes = Math.floor((now - asOf) / 60000);
  const [size, name] = [[1440, "day"], [60, "hour"], [1, "minute"]].find(([each]) => minutes >= 2 * each) || [1, "minute"];
  const number = Math.floor(minutes / size);
  if (number >= 0) at("age").textContent = `, ${number} ${name}${number === 1 ? "" : "s"} ago`;

  const badge = (card, name, words) => {
    const made = document.createElement("span");
    made.className = `badge ${name}`;
    made.textContent = words;
    card.querySelector(".badge").after(" ", made);
  };
  const UNFOLDED = {{ unfolded }};
  const unfoldCard = (card) => {
    // A card that could not be drawn has nothing to unfold.
    const more = card.querySelector(".more");
    if (more) more.open = true;
  };
  const worse = [], stale = [];
  for (const card of cards) {
    const found = judge({ ...card.dataset }, asOf, now), name = card.dataset.account;
    if (found.state !== card.dataset.reading) {
      stale.push(name);
      badge(card, "stale", "reading stale");
    }
    const orderBy = Date.parse(card.dataset.orderBy || "");
    if (orderBy >= Math.floor(asOf / DAY) * DAY && orderBy < Math.floor(now / DAY) * DAY) {
      const advice = card.querySelector(".advice");
      if (!advice.textContent.includes(" now: ")) advice.append(" " + {{ order_now }});
    }
    if (found.severity !== card.dataset.severity) {
      if (found.severity !== "unknown") worse.push(name);
      badge(card, found.severity, `by now ${found.severity}`);
      card.classList.replace(card.dataset.severity, found.severity);
      if (UNFOLDED.includes(found.severity)) unfoldCard(card);
    }
    Object.assign(card.dataset, { severity: found.severity, reading: found.state });
  }
  const marked = [[worse, "more urgent"], [stale, "not read since, so stale"]]
    .filter(([names]) => names.length).map(([names, words]) => `${words}: ${names.join(", ")}`);
  if (marked.length) {
    at("aged").textContent = `Since this page was made, ${marked.join("; ")}.`;
    at("aged").hidden = false;
  }
  for (const each of RANKS) {
    const isThere = [...at("severity").options].some((option) => option.text === each);
    if (!isThere && cards.some((card) => card.dataset.severity === each)) at("severity").add(new Option(each));
  }

  const chosen = (id) => (at(id) ? at(id).value : "");
  const amount = (card, key) => (card.dataset[key] ? Number(card.dataset[key]) : Infinity);
  const orders = {
    urgency: (a, b) =>
      RANKS.indexOf(a.dataset.severity) - RANKS.indexOf(b.dataset.severity) || cards.indexOf(a) - cards.indexOf(b),
    account: (a, b) => a.dataset.account.localeCompare(b.dataset.account),
    days: (a, b) => (amount(a, "days") > amount(b, "days")) - (amount(a, "days") < amount(b, "days")),
    worth: (a, b) => (amount(a, "worth") > amount(b, "worth")) - (amount(a, "worth") < amount(b, "worth")),
  };

  const show = () => {
    const words = chosen("find").toLowerCase();
    let count = 0;
    for (const card of cards) {
      const { severity, team } = card.dataset;
      const head = card.querySelector("header").textContent.toLowerCase();
      card.hidden =
        (chosen("severity") !== "" && severity !== chosen("severity")) ||
        (chosen("team") !== "" && team !== chosen("team")) ||
        !head.includes(words);
      count += card.hidden ? 0 : 1;
    }
    box.append(...[...cards].sort(orders[chosen("order")]));
    at("shown").textContent = `${count} of ${cards.length} accounts`;
  };

  // On a phone, the rows of a table with many columns are blocks whose values have titles (style.css). The titles are
  // set when the table is shown: in the file they would double its size.
  const MOST_SIDE_BY_SIDE = 3;
  const title = (table) => {
    const titles = [...table.tHead.rows[0].cells].map((each) => each.textContent.trim());
    if (titles.length <= MOST_SIDE_BY_SIDE || table.matches(".stacked")) return;
    table.classList.add("stacked");
    for (const row of table.tBodies[0].rows) {
      for (const [place, cell] of [...row.cells].entries()) if (place) cell.dataset.title = titles[place];
    }
  };
  const titleIn = (box, details) => {
    for (const table of box.querySelectorAll("table")) if (table.closest("details") === details) title(table);
  };
  titleIn(document, null);
  document.addEventListener("toggle", (event) => titleIn(event.target, event.target), true);

  const unfold = at("unfold");
  unfold.addEventListener("click", () => {
    const isOpen = unfold.textContent === "Unfold all";
    for (const each of document.querySelectorAll(".more")) each.open = isOpen;
    unfold.textContent = isOpen ? "Fold all" : "Unfold all";
  });

  for (const block of document.querySelectorAll("pre")) {
    const copy = document.createElement("button");
    copy.type = "button";
    copy.className = "copy";
    copy.textContent = "Copy";
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(block.textContent);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(block);
        copy.textContent = "Selected";
      }
    });
    block.after(copy);
  }

  // A link to an account's card opens it.
  const reveal = () => {
    const card = location.hash && at(decodeURIComponent(location.hash.slice(1)));
    if (card && card.matches(".card")) unfoldCard(card);
  };
  addEventListener("hashchange", reveal);
  reveal();

  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("input", show);
  tools.reset();
  tools.hidden = false;
  show();
})();
