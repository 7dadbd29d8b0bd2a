// Recommendations for a user, a session or a product that somebody looks for.

import { bar, byId, el, foreign, setText } from "../dom.js";
import { clock, number } from "../format.js";

const ASK_EVERY_MS = 2_000;
let view = null;
let chosen = null; // {kind: "user" | "product", id}
let shown = "";
let count = 0;

export function showUsers(body) {
  if (view) return;
  view = build(body);
  suggest("");
  setInterval(() => {
    if (document.hidden) return;
    if (chosen) ask();
    else suggest(view.input.value);
  }, ASK_EVERY_MS);
}

export function chooseProduct(id) {
  if (!view) return;
  choose("product", id);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  byId("users").scrollIntoView({ behavior: still ? "auto" : "smooth", block: "nearest" });
}

function build(body) {
  const list = el("datalist", { id: "people" });
  const input = el("input", { type: "search", id: "person", list: "people", autocomplete: "off", spellcheck: "false", maxlength: "200", placeholder: "user, session or product" });
  const form = el("form", { class: "search", onsubmit: (event) => {
    event.preventDefault();
    if (input.value.trim()) choose("either", input.value.trim());
  } }, el("label", { for: "person", class: "hidden" }, "User, session or product"), input, list, el("button", { class: "button" }, "Show"));
  input.addEventListener("input", () => {
    if ([...list.children].some((option) => option.value === input.value)) choose("either", input.value);
    else if (!input.value) choose(null);
    else suggest(input.value);
  });
  const recent = el("div", { class: "recent" });
  const answer = el("div", { class: "answer", "aria-live": "polite" });
  body.append(form, recent, answer);
  return { input, list, recent, answer };
}

async function suggest(text) {
  const found = await get(`/api/suggestions?q=${encodeURIComponent(text)}`);
  if (!found.ok || text !== view.input.value) return;
  const { users, products } = found.data;
  view.list.replaceChildren(...[...users, ...products].map((id) => el("option", { value: id })));
  if (!chosen) {
    const group = (title, kind, ids) => (ids.length ? [el("h3", {}, title), el("ul", { class: "chips" }, ...ids.slice(0, 4).map((id) => el("li", {},
      el("button", { type: "button", class: "link", onclick: () => choose(kind, id) }, foreign(id)))))] : []);
    const wanted = JSON.stringify([users.slice(0, 4), products.slice(0, 4)]);
    if (view.recent.dataset.shown !== wanted && !view.recent.matches(":hover, :focus-within")) {
      view.recent.dataset.shown = wanted;
      view.recent.replaceChildren(...group("Last active users", "user", users), ...group("Last active products", "product", products));
    }
  }
}

function choose(kind, id) {
  chosen = kind && { kind, id };
  shown = "";
  view.recent.hidden = chosen !== null;
  view.answer.replaceChildren();
  if (chosen) {
    view.input.value = id;
    ask();
  } else suggest("");
}

async function ask() {
  const mine = chosen;
  const number = ++count;
  const found = await get(`/api/recommendations/${encodeURIComponent(mine.id)}`);
  if (mine !== chosen || number !== count) return; // somebody has chosen another one meanwhile
  const wanted = JSON.stringify(found);
  if (wanted === shown) return;
  shown = wanted;
  view.answer.replaceChildren(...(found.ok ? answerTo(mine, found.data) : [el("p", { class: "note" }, "The recommendations can't be read.")]));
}

function answerTo({ kind, id }, { user, product }) {
  if (user && kind !== "product") return ofUser(id, user);
  if (product && kind !== "user") return ofProduct(id, product);
  return [el("p", { class: "note" }, "There are no recommendations for ", foreign(id),
    ". Those of the last active 10,000 users and products are kept here.")];
}

const ofUser = (id, { time_ms: time, items }) => [
  el("h3", {}, "Next for ", foreign(id)), el("p", { class: "muted" }, `as of ${clock(time)}`), list(items),
];

const ofProduct = (id, { category, also_viewed: viewed, also_bought: bought }) => [
  el("h3", {}, foreign(id), el("span", { class: "muted" }, " in ", foreign(category))),
  el("h4", {}, "Also viewed"), list(viewed), el("h4", {}, "Also bought"), list(bought),
];

function list(items) {
  if (!items.length) return el("p", { class: "muted" }, "none yet");
  const highest = items[0].score || 1;
  return el("ol", { class: "ranked" }, ...items.map((item) => el("li", {},
    el("button", { type: "button", class: "link", onclick: () => choose("product", item.product_id) }, foreign(item.product_id)),
    bar(item.score / highest), el("span", { class: "number muted" }, number(item.score, 3)))));
}

async function get(path) {
  try {
    const answer = await fetch(path);
    return answer.ok ? { ok: true, data: await answer.json() } : { ok: false };
  } catch {
    return { ok: false };
  }
}
