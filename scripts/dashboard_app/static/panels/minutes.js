// Minute by minute: orders, their average value, and revenue at risk.

import { timeChart, withGaps } from "../charts.js";
import { el, keyed, row, table } from "../dom.js";
import { clock, money, number, shortMoney } from "../format.js";

const ROWS = 5;
let view = null;

export function showMinutes(body, data, { currency }) {
  const minutes = data.currencies[currency];
  if (!minutes) return;
  view ??= build(body);
  view.currency = currency;
  const { times, values } = withGaps(minutes.map((each) => each.start_ms), [minutes.map((each) => each.amount_minor)]);
  const newest = minutes.at(-1);
  view.chart.set({
    times_ms: times,
    series: [{ name: "revenue", values: values[0], colour: "--accent", columns: true }],
    label: `Columns: revenue of each minute, the last ${minutes.length}. Newest: ${money(newest.amount_minor, currency)} ${currency} at ${clock(newest.start_ms, false)}.`,
  });
  const seconds = data.length_ms < 60_000;
  const rows = minutes.slice(-ROWS).reverse();
  keyed(view.rows, rows, (each) => JSON.stringify([currency, each]), (each) => row([
    clock(each.start_ms, seconds),
    { text: number(each.orders), class: "number" },
    { text: money(each.amount_minor, currency), class: "number" },
    { text: each.orders ? money(each.amount_minor / each.orders, currency) : "–", class: "number wide" },
    { text: each.at_risk_orders ? money(each.at_risk_minor, currency) : "0", class: `number ${each.at_risk_orders ? "warn" : "muted"}` },
  ]));
}

function build(body) {
  const host = el("div");
  const { node, body: rows } = table("Orders and revenue of the last minutes", [
    { title: "Minute" }, { title: "Orders", class: "number" }, { title: "Revenue", class: "number" },
    { title: "per order", class: "number wide" }, { title: "At risk", class: "number" },
  ]);
  body.append(host, node, el("p", { class: "hint" }, "At risk: orders with a failed payment and none that went through."));
  return { rows, chart: timeChart(host, { height: 130, format: (value) => shortMoney(value, view.currency) }), currency: null };
}
