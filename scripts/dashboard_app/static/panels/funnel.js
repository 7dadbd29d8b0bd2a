// From view to payment: all categories together as steps, then each in a row.

import { bar, el, fillRow, foreign, keyed, row, setText, table } from "../dom.js";
import { number, percent } from "../format.js";

const STEPS = [["views", "Views"], ["carts", "Added to cart"], ["orders", "Ordered"], ["paid", "Paid"]];
let view = null;

export function showFunnel(body, data) {
  view ??= build(body);
  STEPS.forEach(([name], index) => {
    const { figure, share, fill } = view.steps[index];
    setText(figure, number(data.total[name]));
    setText(share, index ? `${percent(ratio(data.total[name], data.total[STEPS[index - 1][0]]))} of the step before` : "all categories");
    fill.style.width = `${Math.min(100, 100 * (ratio(data.total[name], data.total.views) ?? 0)).toFixed(1)}%`;
  });
  keyed(view.rows, data.categories, (each) => each.category, (each) => row(cells(each)), (node, each) => fillRow(node, cells(each)));
}

function cells({ category, views, carts, orders, paid }) {
  return [
    { content: foreign(category) },
    { text: number(views), class: "number" },
    { text: number(carts), class: "number" },
    { text: percent(ratio(carts, views)), class: "number muted wide" },
    { text: number(orders), class: "number" },
    { text: percent(ratio(orders, carts)), class: "number muted wide" },
    { text: number(paid), class: "number" },
    { text: percent(ratio(paid, orders)), class: "number muted wide" },
    { text: percent(ratio(orders, views), 2), class: "number strong" },
  ];
}

/** Null where there was nothing to come from. More than 1 is possible: a window may hold an order and not its view. */
const ratio = (part, whole) => (whole ? part / whole : null);

function build(body) {
  const steps = STEPS.map(([, title]) => {
    const figure = el("strong", {});
    const share = el("span", { class: "muted" });
    const rod = bar(0);
    return { figure, share, fill: rod.firstChild, node: el("li", {}, el("span", { class: "label" }, title), figure, share, rod) };
  });
  const { node, body: rows } = table("Views, carts, orders and payments by category, with the share of the step before", [
    { title: "Category" }, { title: "Views", class: "number" }, { title: "Carts", class: "number" }, { title: "of views", class: "number wide" },
    { title: "Orders", class: "number" }, { title: "of carts", class: "number wide" }, { title: "Paid", class: "number" },
    { title: "of orders", class: "number wide" }, { title: "Conversion", class: "number" },
  ]);
  body.append(el("ol", { class: "steps" }, ...steps.map((step) => step.node)), node);
  return { steps, rows };
}
