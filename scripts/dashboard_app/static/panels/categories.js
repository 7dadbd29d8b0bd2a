// Revenue by category: the course of the moving average, and a table of the newest window that is the chart's legend.

import { SERIES, timeChart, withGaps } from "../charts.js";
import { el, fillRow, foreign, keyed, row, table } from "../dom.js";
import { clock, money, number, shortMoney } from "../format.js";

const DRAWN = 6;
let view = null;
let drawn = null; // categories that somebody has chosen, or null: the first ones
let last = null;
const slots = new Map(); // category -> its colour, kept as long as it is drawn

export function showCategories(body, data, { currency }) {
  const of = data.currencies[currency];
  if (!of) return;
  view ??= build(body);
  last = { data, of, currency };
  drawAll(null);
}

function build(body) {
  const left = el("div", { class: "left" });
  const { node, body: rows } = table("Revenue by category in the newest window", [
    { title: "Category" }, { title: "per minute", class: "number" }, { title: "Orders", class: "number" },
  ]);
  const right = el("div", { class: "legend" }, node);
  body.append(left, right);
  const chart = timeChart(left, { height: 350, format: (value) => shortMoney(value, last.currency), onCursor: (index) => drawTable(index) });
  return { chart, rows, header: node.querySelectorAll("th")[1] };
}

function chosen() {
  const known = last.of.now.map((each) => each.category);
  return drawn === null ? known.slice(0, DRAWN) : known.filter((category) => drawn.has(category));
}

function drawAll() {
  const categories = chosen();
  for (const category of [...slots.keys()]) if (!categories.includes(category)) slots.delete(category);
  for (const category of categories) {
    if (!slots.has(category)) slots.set(category, SERIES.find((each) => ![...slots.values()].includes(each)) ?? "--muted");
  }
  const ordered = [...slots.keys()].sort();
  const { times, values } = withGaps(last.data.ends_ms, ordered.map((category) => last.of.course[category]));
  const highest = last.of.now[0];
  view.times = times;
  view.chart.set({
    times_ms: times,
    series: ordered.map((name, index) => ({ name, values: values[index], colour: slots.get(name) })),
    label: `Lines: revenue per minute by category, ${clock(times[0])} to ${clock(times.at(-1))}. ${
      highest ? `Highest now: ${highest.category}, ${money(highest.minor_per_minute, last.currency)} ${last.currency}.` : ""} The table beside it has all figures.`,
  });
  drawTable(null);
}

/** `index`: of the point in the chart that is pointed at; null: the newest window. */
function drawTable(index) {
  const at = index === null ? null : last.data.ends_ms.indexOf(view.times[index]);
  const past = at !== null && at >= 0 && at < last.data.ends_ms.length - 1;
  const { of, currency } = last;
  view.header.textContent = past ? `at ${clock(last.data.ends_ms[at])}` : `${currency} per minute`;
  keyed(view.rows, of.now, (each) => each.category, (each) => row(cells(each)), (node, each) => {
    fillRow(node, cells(each));
    mark(node.querySelector("button"), each.category);
  });

  function cells({ category, minor_per_minute: perMinute, orders }) {
    return [
      { content: swatch(category) },
      { text: money(past ? of.course[category][at] : perMinute, currency), class: "number" },
      { text: past ? "" : number(orders), class: "number" },
    ];
  }
}

/** The button that draws and hides a category's line, with the line's colour. */
function swatch(category) {
  const button = el("button", { type: "button", class: "series", onclick: () => {
    drawn = new Set(chosen());
    if (!drawn.delete(category) && drawn.size < SERIES.length) drawn.add(category);
    drawAll();
  } }, el("span", { class: "dot", "aria-hidden": "true" }), foreign(category));
  mark(button, category);
  return button;
}

function mark(button, category) {
  const on = slots.has(category);
  button.setAttribute("aria-pressed", String(on));
  button.title = on ? "Hide the line" : "Draw the line";
  button.firstChild.style.background = on ? `var(${slots.get(category)})` : "";
}
