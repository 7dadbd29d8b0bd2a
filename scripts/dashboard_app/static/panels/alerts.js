// Fraud alerts: score, reasons, evidence. A new one is also said to those who listen.

import { byId, el, foreign, keyed, setText } from "../dom.js";
import { clock, number } from "../format.js";

let known = null;

const LEVELS = [[80, "bad", "high"], [50, "warn", "medium"], [0, "low", "low"]];
const level = (score) => LEVELS.find(([from]) => score >= from);

export function showAlerts(body, data) {
  announce(data.newest);
  keyed(body, data.newest, (alert) => alert.alert_id, make);
}

function announce(alerts) {
  const fresh = known && alerts.filter((alert) => !known.has(alert.alert_id));
  known = new Set(alerts.map((alert) => alert.alert_id));
  if (!fresh?.length) return;
  const [first] = fresh;
  setText(byId("announcer"), `New alert, score ${number(first.score)}: ${first.reasons[0]?.text ?? ""}${fresh.length > 1 ? `, and ${fresh.length - 1} more` : ""}`);
}

function make(alert) {
  const [, kind, word] = level(alert.score);
  const [first, ...others] = alert.reasons;
  const facts = [["subject", alert.subject], ["user", alert.user_id], ["order", alert.order_id], ["session", alert.session_id], ["event", alert.event_id]];
  return el("details", { class: "alert" },
    el("summary", {},
      el("span", { class: `score ${kind}` }, number(alert.score), el("span", { class: "hidden" }, ` of 100, ${word}`)),
      el("span", { class: "what" },
        foreign(first ? first.text || first.rule_id : "no reason given", { class: "headline" }),
        el("span", { class: "muted" }, foreign(alert.subject), others.length ? ` · ${others.length} more ${others.length === 1 ? "reason" : "reasons"}` : ""),
      ),
      el("time", { class: "muted", datetime: iso(alert.time_ms) }, clock(alert.time_ms)),
    ),
    el("div", { class: "evidence" },
      el("dl", { class: "facts" }, ...facts.filter(([, value]) => value).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, foreign(value))))),
      ...alert.reasons.map(reason),
      el("p", { class: "hint" }, `Found ${number(alert.detected_ms - alert.time_ms)} ms after the event's time.`),
    ),
  );
}

function reason(each) {
  const measured = [each.by && `by ${each.by}`, each.value && `value ${each.value}`, each.limit && `limit ${each.limit}`].filter(Boolean).join(", ");
  const more = each.evidence_count - each.evidence.length;
  return el("section", { class: "reason" },
    el("h3", {}, foreign(each.rule_id), el("span", { class: "muted" }, ` v${each.version}, score ${number(each.score)}`)),
    el("p", {}, foreign(each.text)),
    el("p", { class: "muted" }, foreign(measured)),
    el("ul", { class: "chips", "aria-label": "Evidence: event ids" }, ...each.evidence.map((id) => el("li", {}, foreign(id))), more > 0 ? el("li", {}, `${more} more`) : null),
  );
}

function iso(ms) {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString();
}
