// Shares: the most common values of a column as bars, the others as a total.
import { bar, details, el, find, words } from "./dom.js";
import { inRows } from "./groups.js";
import { count, plural, share } from "./numbers.js";

const FIRST = 10;

export function shares(data) {
  find("share-list").append(...inRows(data.shares.filter((column) => column.total), Object.keys(data.corpora), list));
}

function list(column, name) {
  const widest = Math.max(1, ...column.values.map((v) => v.count));
  const numbers = (n) => [el("span", { class: "number" }, count(n)), el("span", { class: "number share" }, share(n, column.total))];
  const row = ({ value, count: n }) => el("li", {},
    words(value || "none given", "span", value ? "value" : "value quiet"), numbers(n), bar(["out", n / widest]));
  const rest = column.values.slice(FIRST);
  const fewer = column.num_values - column.values.length;
  const subtitle = `${name === column.title ? `${column.of}, ` : ""}${count(column.total)}`;
  return el("figure", { class: "shares" },
    el("figcaption", {}, el("strong", {}, name), el("span", { class: "quiet" }, ` ${subtitle}`)),
    el("ol", {}, column.values.slice(0, FIRST).map(row)),
    rest.length > 0 && details(`${rest.length} more`, () => el("ol", {}, rest.map(row))),
    column.others > 0 && el("p", { class: "others" }, fewer > 0 ? plural(fewer, "other") : "others", numbers(column.others)));
}
