// The row at the top.

import { byId, setText } from "../dom.js";
import { sparkline } from "../charts.js";
import { change, clock, duration, money, number, percent, rate } from "../format.js";

const sparks = new Map();

export function showKpis(sections, currency) {
  const { kpis, panels, status, health } = sections;
  const revenue = kpis.revenue[currency];
  const others = Object.entries(kpis.revenue).filter(([code]) => code !== currency);
  const kafka = status.kafka_answers !== false;
  const flink = status.flink_answers !== false;

  set("revenue", {
    value: money(revenue?.minor_per_minute, currency), unit: currency,
    detail: revenue ? [revenue.change === null ? "" : `${change(revenue.change)} on ${windowLength(sections)} before`,
      others.slice(0, 2).map(([code, each]) => `${money(each.minor_per_minute, code)} ${code}`).join(" · ")].filter(Boolean).join("\n") : panels.categories.note,
    stale: panels.categories.stale, course: revenue?.course,
  });
  set("orders", {
    value: number(kpis.orders.per_minute),
    detail: kpis.orders.minute_ms === null ? panels.minutes.note : `${totalsLength(sections)} from ${clock(kpis.orders.minute_ms, false)}, all currencies`,
    stale: panels.minutes.stale, course: kpis.orders.course,
  });
  set("conversion", {
    value: percent(kpis.conversion.share, 2),
    detail: kpis.conversion.share === null ? panels.funnel.note : "orders by product views",
    stale: panels.funnel.stale, course: kpis.conversion.course,
  });
  set("alerts", {
    value: panels.alerts.off ? "–" : number(kpis.alerts.open),
    detail: kpis.alerts.highest === null ? panels.alerts.note || "none in the last 15 min" : `last 15 min, highest score ${number(kpis.alerts.highest)}`,
    level: kpis.alerts.highest >= 80 ? "bad" : kpis.alerts.highest >= 50 ? "warn" : "",
    stale: false,
  });
  set("events", {
    value: rate(kpis.events.per_s),
    detail: kpis.events.per_s === null ? "not known yet" : health.lag === null ? "into the job's input topic" : `${number(health.lag)} not yet covered by a checkpoint`,
    stale: !kafka, course: health.events_course,
  });
  set("watermark", {
    value: duration(kpis.watermark_lag_ms),
    detail: kpis.watermark_lag_ms === null ? (flink ? "no watermark yet" : "Flink does not answer") : "event time behind the clock",
    level: kpis.watermark_lag_ms > 60_000 ? "bad" : kpis.watermark_lag_ms > 15_000 ? "warn" : "",
    stale: !flink,
  });
}

/** Of the windows of totals. */
function totalsLength({ minutes }) {
  return minutes.length_ms === 60_000 ? "in the minute" : `by the ${duration(minutes.length_ms)}`;
}

/** Of the sliding window: "5 min". */
function windowLength({ categories }) {
  return duration(categories.window.end_ms - categories.window.start_ms);
}

function set(name, { value, unit = "", detail, level = "", stale, course }) {
  const card = byId(`kpi-${name}`);
  const figure = card.querySelector(".value");
  figure.className = `value ${level}`;
  if (figure.dataset.text !== value + unit) {
    figure.dataset.text = value + unit;
    figure.textContent = value;
    if (unit && value !== "–") {
      const small = document.createElement("small");
      small.textContent = ` ${unit}`;
      figure.append(small);
    }
  }
  setText(card.querySelector(".detail"), detail);
  card.classList.toggle("stale", stale);
  if (course) {
    if (!sparks.has(name)) sparks.set(name, sparkline(card));
    sparks.get(name)(course);
  }
}
