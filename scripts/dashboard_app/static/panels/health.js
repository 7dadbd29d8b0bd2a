// Pipeline health: the input, the job, and what could not be used.

import { bar, el, foreign, keyed, row, setText, table } from "../dom.js";
import { sparkline } from "../charts.js";
import { age, clock, duration, number, percent, rate } from "../format.js";

let view = null;
const FIGURES = [
  ["events", "Events in per second"], ["lag", "Consumer lag"], ["watermark", "Watermark lag"], ["checkpoint", "Last checkpoint"],
  ["took", "Checkpoint took"], ["restarts", "Restarts"], ["late", "Late events"], ["dead", "Dead letters"],
];

export function showHealth(body, data, { sections }) {
  view ??= build(body);
  const now = sections.status.now_ms;
  const { checkpoint, late, dead_letters: dead } = data;
  const perMinute = (value) => (value === null ? "" : `${rate(value)} per minute`);
  set("events", rate(data.events_per_s), "");
  view.spark(data.events_course);
  set("lag", number(data.lag), "events without a checkpoint");
  set("watermark", duration(data.watermark_lag_ms), "event time behind the clock");
  set("checkpoint", checkpoint ? `${age(now - checkpoint.completed_ms)} ago` : "–", checkpoint ? `number ${number(checkpoint.number)}` : "none yet");
  set("took", checkpoint ? duration(checkpoint.duration_ms) : "–", data.failed_checkpoints ? `${number(data.failed_checkpoints)} failed` : "none failed");
  set("restarts", number(data.restarts), data.restarts === null ? "" : "since the job's start", data.restarts > 0 ? "warn" : "");
  set("late", number(late.total), perMinute(late.per_minute));
  set("dead", number(dead.total), perMinute(dead.per_minute), dead.total > 0 ? "warn" : "");
  setText(view.since, `Late events and dead letters since ${clock(data.since_ms)}.`);
  const highest = dead.by_reason[0]?.count;
  view.reasons.hidden = dead.by_reason.length === 0;
  keyed(view.reasonRows, dead.by_reason, (each) => JSON.stringify([each, highest]), (each) => row([
    { content: foreign(each.reason) }, { text: number(each.count), class: "number" }, { content: bar(each.count / highest, "warn") },
  ]));
  const tasks = [...data.busiest.map((each) => ["busy", each]), ...data.backpressured.map((each) => ["held back", each])].filter(([kind, each]) => kind === "busy" || each.share > 0.01);
  view.tasks.hidden = tasks.length === 0;
  keyed(view.taskRows, tasks, ([kind, each]) => JSON.stringify([kind, each]), ([kind, each]) => row([
    { content: foreign(each.task) }, { text: `${percent(each.share, 0)} ${kind}`, class: "number" },
    { content: bar(each.share, each.share > 0.8 ? "bad" : kind === "busy" ? "" : "warn") },
  ]));
}

function set(name, value, detail, kind = "") {
  const { figure, small } = view.figures[name];
  setText(figure, value);
  figure.className = `figure ${kind}`;
  setText(small, detail);
}

function build(body) {
  const figures = Object.fromEntries(FIGURES.map(([name, title]) => {
    const figure = el("dd", { class: "figure" });
    const small = el("dd", { class: "muted" });
    return [name, { figure, small, node: el("div", { id: `health-${name}` }, el("dt", {}, title), figure, small) }];
  }));
  const reasons = table("Dead letters by reason", [{ title: "Dead letters by reason" }, { title: "Count", class: "number" }, { title: "", class: "rod" }]);
  const tasks = table("The busiest tasks, and those held back by the ones behind them", [{ title: "Task" }, { title: "Time", class: "number" }, { title: "", class: "rod" }]);
  const since = el("p", { class: "hint" });
  body.append(el("dl", { class: "figures four" }, ...Object.values(figures).map((each) => each.node)), since, el("div", { class: "pair" }, reasons.node, tasks.node));
  return { figures, since, reasons: reasons.node, reasonRows: reasons.body, tasks: tasks.node, taskRows: tasks.body, spark: sparkline(figures.events.node) };
}
