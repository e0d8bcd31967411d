"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const box = at("cards"), cards = [...box.children], tools = at("tools");

  // How old the page is, nobody but its reader knows.
  const minutes = Math.floor((Date.now() - Date.parse(at("as-of").dateTime)) / 60000);
  const [size, name] = [[1440, "day"], [60, "hour"], [1, "minute"]].find(([each]) => minutes >= 2 * each) || [1, "minute"];
  const number = Math.floor(minutes / size);
  if (number >= 0) at("age").textContent = `, ${number} ${name}${number === 1 ? "" : "s"} ago`;

  const chosen = (id) => (at(id) ? at(id).value : "");
  const amount = (card, key) => (card.dataset[key] === "" ? Infinity : Number(card.dataset[key]));
  const orders = {
    urgency: (a, b) => cards.indexOf(a) - cards.indexOf(b),
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
    if (card && card.matches(".card")) card.querySelector(".more").open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();

  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("input", show);
  tools.reset();
  tools.hidden = false;
  show();
})();
