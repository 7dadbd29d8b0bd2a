// What is not as it should be. The ages are counted here, every second; they are left out of what a screen reader is told.

import { el, keyed, setText } from "./dom.js";
import { age, clock } from "./format.js";

export function showBanners(host, { sections, connected, lostMs }) {
  const { status } = sections;
  const found = [];
  if (!connected && lostMs !== null) {
    found.push({ name: "server", level: "error", text: "The dashboard's server does not answer", since_ms: lostMs, as_of_ms: status?.now_ms ?? null, now: Date.now() });
  } else if (status) found.push(...status.banners.map((banner) => ({ ...banner, now: status.now_ms })));
  keyed(host, found, (banner) => `${banner.name} ${banner.level}`, make, fill);
}

function make({ level }) {
  return el("p", { class: `banner ${level}` }, el("span", {}), el("span", { "aria-live": "off" }));
}

function fill(node, { text, since_ms: since, as_of_ms: asOf, now }) {
  const [what, when] = node.children;
  setText(what, text);
  const parts = [];
  if (since !== null) parts.push(` since ${age(now - since)}`);
  if (asOf !== null) parts.push(`; figures below are of ${clock(asOf)}`);
  setText(when, parts.join("") + ".");
}
