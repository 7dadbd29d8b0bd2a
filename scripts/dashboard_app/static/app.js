// Joins the stream, the panels and what a person has chosen.

import { byId, el, setText } from "./dom.js";
import { age, clock, setCurrencies, span } from "./format.js";
import { follow } from "./stream.js";
import { showBanners } from "./banners.js";
import { showKpis } from "./panels/kpis.js";
import { showCategories } from "./panels/categories.js";
import { showMinutes } from "./panels/minutes.js";
import { showFunnel } from "./panels/funnel.js";
import { showTop, showTrends } from "./panels/products.js";
import { showAlerts } from "./panels/alerts.js";
import { showUsers } from "./panels/recommendations.js";
import { showSessions } from "./panels/sessions.js";
import { showHealth } from "./panels/health.js";
import { showRules } from "./panels/rules.js";

/** Everything known: the server's sections, the chosen currency, and whether the server answers. */
const state = { sections: {}, currency: null, chosen: null, connected: false, lostMs: null };

// A panel is drawn when one of its sections has changed. `missing` is what it says instead of data.
const PANELS = {
  categories: { show: showCategories, needs: ["categories"], caption: (data) => `average per minute of ${span(data.window)}` },
  minutes: { show: showMinutes, needs: ["minutes"], caption: (data) => `up to ${clock(data.end_ms, data.length_ms < 60_000)}` },
  funnel: { show: showFunnel, needs: ["funnel"], caption: (data) => span(data.window) },
  top: { show: showTop, needs: ["top"], caption: (data) => span(data.window) },
  alerts: { show: showAlerts, needs: ["alerts"], caption: (data) => `${data.open} in the last ${data.open_minutes} min` },
  users: { show: showUsers, needs: ["users"], caption: (data) => `${data.users} users, ${data.products} products` },
  trends: { show: showTrends, needs: ["trends"], caption: () => "" },
  sessions: { show: showSessions, needs: ["sessions"], caption: (data) => `${data.closed} ended in the last ${data.minutes} min` },
  health: { show: showHealth, needs: ["health", "status"], caption: () => "" },
  rules: { show: showRules, needs: ["rules"], caption: (data) => `${data.count}` },
};

follow("/api/events", (news) => {
  Object.assign(state.sections, news);
  chooseCurrency();
  draw(new Set(Object.keys(news)));
}, (connected) => {
  state.connected = connected;
  state.lostMs = connected ? null : Date.now();
  drawStatus();
});
setInterval(() => state.connected || drawStatus(), 1_000);

function draw(changed) {
  const { sections } = state;
  setCurrencies(sections.currencies);
  drawStatus();
  showKpis(sections, state.currency);
  for (const [name, panel] of Object.entries(PANELS)) {
    if (changed.has("panels") || changed.has("currencies") || panel.needs.some((need) => changed.has(need))) drawPanel(name, panel);
  }
}

function drawPanel(name, panel) {
  const section = byId(name);
  const data = state.sections[panel.needs[0]];
  const { note, stale, as_of_ms: asOf } = state.sections.panels[name] ?? { note: "", stale: false };
  const empty = isEmpty(name, data);
  section.classList.toggle("stale", stale);
  section.classList.toggle("empty", empty);
  setText(section.querySelector(".caption"), empty ? "" : panel.caption(data));
  let notice = section.querySelector(":scope > .note");
  const text = empty ? note : stale ? `${note || "Nothing newer has come."} What is shown is of ${clock(asOf)}.` : note;
  if (text && !notice) {
    notice = el("p", { class: "note" });
    section.querySelector("header").after(notice);
  }
  if (!text) notice?.remove();
  else setText(notice, text);
  section.querySelector(".body").hidden = empty;
  if (!empty) panel.show(section.querySelector(".body"), data, state);
}

function isEmpty(name, data) {
  if (name === "health") return false;
  if (name === "alerts") return data.newest.length === 0;
  if (name === "users") return data.users + data.products === 0;
  if (name === "rules") return data.count === 0;
  return data === null || data.length === 0;
}

function drawStatus() {
  const { status } = state.sections;
  document.body.classList.toggle("lost", !state.connected || status?.kafka_answers === false);
  showBanners(byId("banners"), state);
  if (!status) return;
  const job = byId("job-state");
  const name = status.job?.state ?? (status.flink_answers ? "no job" : "job unknown");
  setText(job, name.toLowerCase());
  job.className = `pill ${status.job?.state === "RUNNING" ? "good" : "bad"}`;
  setText(byId("as-of"), state.connected ? `as of ${clock(status.as_of_ms)}` : `last heard of ${age(Date.now() - state.lostMs)} ago`);
  const flink = byId("flink");
  flink.hidden = false;
  flink.href = safeUrl(status.job?.url ?? status.flink_url);
  setText(byId("about"), `Kafka ${status.bootstrap}${status.topic_prefix ? `, topics ${status.topic_prefix}…` : ""} · Flink ${status.flink_url}`);
}

/** Only what a browser opens as a page: the address is an option of the command line, and might be anything. */
function safeUrl(url) {
  return /^https?:\/\//.test(url) ? url : "about:blank";
}

function chooseCurrency() {
  const codes = state.sections.currencies.map(({ code }) => code);
  const currency = codes.includes(state.chosen) ? state.chosen : (codes[0] ?? null);
  const host = byId("currencies");
  const shown = [...host.querySelectorAll("input")].map((input) => input.value);
  if (shown.length !== codes.length || codes.some((code) => !shown.includes(code))) {
    host.querySelectorAll("label").forEach((label) => label.remove());
    for (const code of [...codes].sort()) {
      const input = el("input", { type: "radio", name: "currency", value: code, onchange: () => {
        state.chosen = state.currency = code;
        draw(new Set(["currencies"]));
      } });
      host.append(el("label", {}, input, el("span", {}, code)));
    }
    host.hidden = codes.length < 2;
  }
  // The one with most orders, until somebody chooses; not another one whenever two change places.
  if (state.currency === null || !codes.includes(state.currency)) state.currency = currency;
  for (const input of host.querySelectorAll("input")) input.checked = input.value === state.currency;
}
