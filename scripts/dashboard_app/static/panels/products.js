// Products: those that sell best, and those that are coming up.

import { bar, el, foreign, keyed, row, table } from "../dom.js";
import { clock, money, number } from "../format.js";
import { chooseProduct } from "./recommendations.js";

let top = null;

export function showTop(body, data, { currency }) {
  top ??= build(body);
  const rows = data.currencies[currency] ?? [];
  const highest = rows[0]?.amount_minor;
  keyed(top, rows, (each) => JSON.stringify([currency, each]), (each) => row([
    { text: String(each.rank), class: "rank" },
    { content: el("div", { class: "product" }, productButton(each.product_id), foreign(each.category, { class: "muted" })) },
    { text: number(each.quantity), class: "number muted" },
    { content: el("div", {}, `${money(each.amount_minor, currency)}`, bar(each.amount_minor / highest)), class: "number" },
  ]));
}

function build(body) {
  const { node, body: rows } = table("The products with the highest revenue in the newest window", [
    { title: "#" }, { title: "Product" }, { title: "Pieces", class: "number" }, { title: "Revenue", class: "number" },
  ]);
  body.append(node);
  return rows;
}

/** A product that can be looked up among the recommendations. */
export function productButton(id) {
  return el("button", { type: "button", class: "link", title: `Recommendations with ${id}`, onclick: () => chooseProduct(id) }, foreign(id));
}

const SHOWN = 5;

export function showTrends(body, data) {
  keyed(body, data, (each) => JSON.stringify([each.category, each.items.slice(0, SHOWN).map((item) => item.product_id)]), (each) => {
    const highest = each.items[0]?.score || 1;
    const items = each.items.slice(0, SHOWN).map((item) => el("li", {}, productButton(item.product_id), bar(item.score / highest)));
    return el("section", { class: "trend" }, el("h3", {}, foreign(each.category)), el("ol", {}, ...items));
  }, (node, each) => {
    node.title = `as of ${clock(each.time_ms)}`;
  });
}
