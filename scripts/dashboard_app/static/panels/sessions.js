// Sessions that have ended.

import { bar, el, setText } from "../dom.js";
import { duration, number, percent } from "../format.js";

let view = null;

export function showSessions(body, data) {
  view ??= build(body);
  setText(view.length, duration(data.avg_length_ms));
  setText(view.depth, number(data.avg_events, 1));
  setText(view.views, number(data.avg_views, 1));
  setText(view.abandoned, percent(data.abandoned_share));
  setText(view.detail, `${number(data.abandoned)} of ${number(data.with_cart)} with a cart left it`);
  setText(view.ordered, percent(data.order_share));
  view.fill.style.width = `${(100 * (data.abandoned_share ?? 0)).toFixed(1)}%`;
}

function build(body) {
  const figures = Object.fromEntries(["length", "depth", "views", "abandoned", "ordered"].map((name) => [name, el("dd", { class: "figure" })]));
  const detail = el("dd", { class: "muted" });
  const rod = bar(0, "warn");
  const pair = (title, ...nodes) => el("div", {}, el("dt", {}, title), ...nodes);
  body.append(el("dl", { class: "figures" },
    pair("Average length", figures.length),
    pair("Events per session", figures.depth),
    pair("Views per session", figures.views),
    pair("With an order", figures.ordered),
    el("div", { class: "whole" }, el("dt", {}, "Abandoned carts"), figures.abandoned, el("dd", {}, rod), detail),
  ));
  return { ...figures, detail, fill: rod.firstChild };
}
