// Shares: the most common values of a column as bars, and the total of the others.
import { bar, details, el, find, words } from "./dom.js";
import { inRows } from "./groups.js";
import { count, plural, share } from "./numbers.js";

const FIRST = 10;

export function shares(data) {
  find("share-list").append(...inRows(data.shares.filter((entry) => entry.total), Object.keys(data.corpora), list));
}

function list(entry, name) {
  const widest = Math.max(1, ...entry.values.map((v) => v.count));
  const numbers = (n) => [el("span", { class: "number" }, count(n)), el("span", { class: "number share" }, share(n, entry.total))];
  const row = ({ value, count: n }) => el("li", {},
    words(value || "none", "span", value ? "value" : "value quiet"), numbers(n), bar(["out", n / widest]));
  const rest = entry.values.slice(FIRST);
  const fewer = entry.num_values - entry.values.length;
  const summary = `${name === entry.title ? `${entry.of}, ` : ""}${count(entry.total)}`;
  return el("figure", { class: "shares" },
    el("figcaption", {}, el("strong", {}, name), el("span", { class: "quiet" }, ` ${summary}`)),
    el("ol", {}, entry.values.slice(0, FIRST).map(row)),
    rest.length > 0 && details(`${rest.length} more`, () => el("ol", {}, rest.map(row))),
    entry.others > 0 && el("p", { class: "others" }, fewer > 0 ? plural(fewer, "other") : "others", numbers(entry.others)));
}
