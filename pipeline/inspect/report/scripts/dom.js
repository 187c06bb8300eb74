// Creates elements. Data only becomes text nodes or values of safe attributes.

// Invisible and directional characters, which can disguise a URL.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const IMAGE = /^data:image\/(jpeg|png|webp);base64,/;

export const find = (id) => document.getElementById(id);

/** Makes an element; attributes that begin with "on" are listeners, children that are false or "" are omitted. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child || child === 0));
  return made;
}

/** Untrusted text, with isolated text direction. */
export function words(text, tag = "span", kind = "words") {
  return el(tag, { dir: "auto", class: kind }, text);
}

export function cut(text, most) {
  const points = text.length > most ? Array.from(text.slice(0, 2 * most)) : [];
  return points.length > most ? points.slice(0, most).join("") + "…" : text;
}

/** A URL: a link if it is http(s), else plain text. */
export function address(url, most = 120) {
  const shown = cut(url.replace(UNSEEN, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`), most);
  const href = ofWeb(url);
  if (!href) return el("span", { class: "address", dir: "ltr" }, shown);
  return el("a", { class: "address", dir: "ltr", href, rel: "noopener noreferrer nofollow" }, shown);
}

function ofWeb(url) {
  try {
    const parsed = new URL(url);
    return ["http:", "https:"].includes(parsed.protocol) ? parsed.href : "";
  } catch {
    return "";
  }
}

/** An image of the report, or a note if it has none. */
export function picture(data, key, alt, more = {}) {
  const source = Object.hasOwn(data.thumbs, key) ? data.thumbs[key] : "";
  if (!IMAGE.test(source)) return el("span", { class: "no-picture" }, "image not in report");
  return el("img", { src: source, alt, decoding: "async", ...more });
}

/** A bar with one or several segments: [kind, fraction of the total]. */
export function bar(...parts) {
  const lengths = parts.map(([kind, fraction]) => {
    const part = el("i", { class: kind });
    part.style.setProperty("--part", Math.max(0, Math.min(1, fraction)));
    return part;
  });
  return el("span", { class: "length", "aria-hidden": "true" }, lengths);
}

/** Details whose content is made when they are first opened. */
export function details(summary, make, attributes = {}) {
  const made = el("details", attributes, el("summary", {}, summary));
  made.addEventListener("toggle", () => made.open && made.childElementCount === 1 && made.append(make()));
  return made;
}

/** A table: columns are [name, class], rows are lists of texts or elements; the first cell of a row is its header. */
export function table(caption, columns, rows) {
  const head = columns.map(([name, kind]) => el("th", { scope: "col", class: kind }, name));
  const cells = (row) =>
    row.map((cell, i) => el(i ? "td" : "th", { class: columns[i][1], ...(i ? {} : { scope: "row" }) }, cell));
  return el("div", { class: "across" }, el("table", {},
    el("caption", { class: "unseen" }, caption),
    el("thead", {}, el("tr", {}, head)),
    el("tbody", {}, rows.map((row) => el("tr", {}, cells(row))))));
}

/** A list of items with a button that shows more. */
export function paged(items, most, draw, attributes = {}) {
  const list = el("div", attributes);
  const more = el("button", { type: "button", class: "more", onclick: () => {
    const first = bring();
    first?.setAttribute("tabindex", "-1");
    first?.focus();
  } });
  let shown = 0;
  const bring = () => {
    const made = items.slice(shown, shown + most).map(draw);
    list.append(...made);
    shown += made.length;
    more.textContent = `Show ${Math.min(most, items.length - shown)} more of ${items.length - shown}`;
    more.hidden = shown >= items.length;
    return made[0];
  };
  bring();
  return el("div", {}, list, more);
}
