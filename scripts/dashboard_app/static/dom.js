// The only place that makes elements. Text becomes a text node, never markup: whatever stands in an event is shown, and does nothing.

/** Makes an element: el("td", {class: "number"}, "12"). Properties are attributes, but for `on…`, which are listeners. */
export function el(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Sets a text, if it is another one: a text that is set anew loses the reader's selection. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A text that a stranger wrote: kept apart, so that marks of direction in it turn nothing else around. */
export const foreign = (text, properties = {}) => el("bdi", { title: text, ...properties }, text);

/** Keeps the children of `parent` in step with `items`: a child lives as long as its key does. */
export function keyed(parent, items, keyOf, make, update = () => {}) {
  const known = parent.keyedChildren ?? new Map();
  const wanted = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const child = known.get(key) ?? make(item);
    update(child, item);
    wanted.set(key, child);
  }
  for (const [key, child] of known) if (!wanted.has(key)) child.remove();
  let place = parent.firstChild;
  for (const child of wanted.values()) {
    if (child === place) place = place.nextSibling;
    else parent.insertBefore(child, place);
  }
  parent.keyedChildren = wanted;
}

/** A table with a head, in a box that scrolls where it is too wide. Columns are {title, class}; `caption` is for those who do not see it. */
export function table(caption, columns) {
  const body = el("tbody");
  const head = el("tr", {}, ...columns.map((column) => el("th", { scope: "col", class: column.class }, column.title)));
  const node = el("table", {}, el("caption", { class: "hidden" }, caption), el("thead", {}, head), body);
  return { node: el("div", { class: "scroll" }, node), body };
}

/** A row of a table; a cell is a text, a node, or {text, class}. The first one names the row. */
export function row(cells) {
  return el("tr", {}, ...cells.map((cell, index) => {
    const { content, properties } = parts(cell);
    return index === 0 ? el("th", { scope: "row", ...properties }, content) : el("td", properties, content);
  }));
}

/** Fills the cells of a row anew where they have changed. */
export function fillRow(node, cells) {
  cells.forEach((cell, index) => {
    const { content, properties } = parts(cell);
    const target = node.children[index];
    if (content instanceof Node) {
      if (target.firstChild?.textContent !== content.textContent || target.firstChild?.nodeName !== content.nodeName) target.replaceChildren(content);
    } else setText(target, content);
    if (properties.class !== undefined) target.className = properties.class;
  });
}

function parts(cell) {
  if (cell instanceof Node || typeof cell === "string") return { content: cell, properties: {} };
  return { content: cell.content ?? cell.text, properties: { class: cell.class ?? "" } };
}

/** A horizontal bar, `share` of it filled (0 to 1). It repeats what stands beside it. */
export function bar(share, kind = "") {
  const fill = el("span", { class: `fill ${kind}` });
  fill.style.width = `${(Math.max(0, Math.min(1, share || 0)) * 100).toFixed(1)}%`;
  return el("span", { class: "bar", "aria-hidden": "true" }, fill);
}
