// Charts: uPlot for those with axes, a plain SVG for the small ones. Each is an image with a name; the figures stand in a table beside it.

import uPlot from "./vendor/uPlot.esm.js";
import { el } from "./dom.js";
import { clock } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

/** What a CSS variable is in the colours of now. */
export function colour(name) {
  const probe = el("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/** Colour variables of the series, told apart also by those who see no red or no green. */
export const SERIES = Array.from({ length: 8 }, (_, index) => `--series-${index + 1}`);

/**
 * A chart over time in `parent`. `set({times_ms, series, label})`: series are {name, values, colour, columns}; values null where there is a gap.
 * `onCursor(index or null)` says which point is pointed at.
 */
export function timeChart(parent, { height, format, onCursor = () => {} }) {
  const host = el("div", { class: "chart", role: "img" });
  parent.append(host);
  let plot = null;
  let shape = "";
  let last = null;

  const build = () => {
    plot?.destroy();
    plot = null;
    if (!last || !host.clientWidth) return;
    const muted = colour("--muted");
    const line = colour("--line");
    const axis = { stroke: muted, font: "12px system-ui, sans-serif", ticks: { show: false }, grid: { stroke: line, width: 1 } };
    const one = (series) => ({
      label: series.name,
      stroke: colour(series.colour),
      width: series.columns ? 0 : 2,
      fill: series.columns ? colour(series.colour) : undefined,
      paths: series.columns ? uPlot.paths.bars({ size: [0.7, 40], radius: 0.15 }) : undefined,
      points: { show: false },
      spanGaps: false,
    });
    plot = new uPlot({
      width: host.clientWidth,
      height,
      padding: [12, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
      // A column is as wide as half a step to both sides. Around a single moment uPlot would show a day.
      scales: { x: { time: true, range: (_, low, high) => (last.times_ms.length > 1 ? [low - margin(), high + margin()] : [low - 30, low + 30]) }, y: { range: (_, __, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [
        { ...axis, grid: { show: false }, space: 70, values: (_, ticks) => ticks.map((tick) => clock(tick * 1000, false)) },
        { ...axis, size: 52, space: height < 200 ? 26 : 40, values: (_, ticks) => ticks.map(format) },
      ],
      series: [{}, ...last.series.map(one)],
      hooks: { setCursor: [(chart) => onCursor(chart.cursor.left >= 0 ? chart.cursor.idx : null)] },
    }, data(), host);
  };
  const margin = () => (last.series.some((series) => series.columns) ? Math.min(...last.times_ms.slice(1).map((ms, index) => ms - last.times_ms[index]), 60_000) / 2000 : 0);
  const data = () => [last.times_ms.map((ms) => ms / 1000), ...last.series.map((series) => series.values)];

  new ResizeObserver(() => {
    if (!plot) build();
    else if (plot.width !== host.clientWidth) plot.setSize({ width: host.clientWidth, height });
  }).observe(host);
  document.addEventListener("themechange", build);

  return {
    set(next) {
      last = next;
      host.setAttribute("aria-label", next.label);
      const wanted = JSON.stringify(next.series.map((series) => [series.name, series.colour]));
      if (plot && wanted === shape) plot.setData(data());
      else build();
      shape = wanted;
    },
  };
}

/** Puts a gap where times are farther apart than usual, so that no line goes over hours without data. */
export function withGaps(times_ms, lists) {
  const step = Math.min(...times_ms.slice(1).map((time, index) => time - times_ms[index]));
  const times = [];
  const values = lists.map(() => []);
  times_ms.forEach((time, index) => {
    if (index && time - times_ms[index - 1] > 3 * step) {
      times.push(times_ms[index - 1] + step);
      values.forEach((list) => list.push(null));
    }
    times.push(time);
    values.forEach((list, which) => list.push(lists[which][index]));
  });
  return { times, values };
}

/** A small line without axes, for the trend. It says nothing that does not stand beside it. */
export function sparkline(parent) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 28");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "spark");
  svg.setAttribute("aria-hidden", "true");
  const area = document.createElementNS(SVG, "path");
  area.setAttribute("class", "area");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("class", "line");
  svg.append(area, path);
  parent.append(svg);
  return (values) => {
    const known = values.filter((value) => value !== null);
    if (known.length < 2) {
      path.setAttribute("d", "");
      area.setAttribute("d", "");
      return;
    }
    const low = Math.min(...known);
    const reach = Math.max(...known) - low || 1;
    const points = known.map((value, index) => [(index / (known.length - 1)) * 100, 25 - ((value - low) / reach) * 22]);
    const d = points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    path.setAttribute("d", d);
    area.setAttribute("d", `${d}L100 28L0 28Z`);
  };
}
