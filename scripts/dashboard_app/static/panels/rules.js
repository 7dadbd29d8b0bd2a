// The rules in force, with what they have hit since they came into force.

import { el, fillRow, foreign, keyed, row, setText, table } from "../dom.js";
import { clock, number } from "../format.js";

let view = null;

export function showRules(body, data) {
  view ??= build(body);
  keyed(view.rows, data.rules, (rule) => rule.id, (rule) => row(cells(rule)), (node, rule) => fillRow(node, cells(rule)));
  const more = data.count - data.rules.length;
  setText(view.more, more > 0 ? `${number(more)} more rules match less.` : "");
  const { refused } = data;
  view.refused.hidden = !refused;
  if (refused) {
    setText(view.refused, `${clock(refused.time_ms)}: version ${refused.version} of ${refused.id} was ${refused.status === "stale" ? "refused as stale" : refused.status}: ${refused.reason}`);
  }
}

const KINDS = { active: "good", shadow: "info", paused: "low", disabled: "low", unknown: "low" };

function cells(rule) {
  const partly = rule.subtasks < rule.parallelism;
  return [
    { content: el("div", { class: "product" }, foreign(rule.id, { title: rule.description || rule.id }), partly ? el("span", { class: "warn" }, `on ${rule.subtasks} of ${rule.parallelism} subtasks`) : null) },
    { text: `v${rule.version}`, class: "number muted wide" },
    { content: el("span", { class: `pill ${KINDS[rule.mode]}` }, rule.mode) },
    { text: number(rule.matched), class: "number" },
    { text: number(rule.shadow_matched), class: `number ${rule.shadow_matched ? "" : "muted"}` },
    { text: number(rule.errors), class: `number ${rule.errors ? "warn" : "muted"}` },
  ];
}

function build(body) {
  const { node, body: rows } = table("Rules in force, and what they have hit since they came into force", [
    { title: "Rule" }, { title: "Version", class: "number wide" }, { title: "Mode" }, { title: "Matched", class: "number" },
    { title: "Shadow", class: "number" }, { title: "Errors", class: "number" },
  ]);
  const refused = el("p", { class: "note", hidden: true });
  const more = el("p", { class: "hint" });
  body.append(refused, node, more);
  return { rows, refused, more };
}
