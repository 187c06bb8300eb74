// Shares: the commonest values of a column as bars, the others as one.
import { bar, details, el, find, words } from "./dom.js";
import { inRows } from "./groups.js";
import { count, plural, share } from "./numbers.js";

const FIRST = 10;

export function shares(data) {
  find("share-list").append(...inRows(data.shares.filter((told) => told.total), Object.keys(data.corpora), list));
}

function list(told, name) {
  const widest = Math.max(1, ...told.values.map((v) => v.count));
  const numbers = (n) => [el("span", { class: "number" }, count(n)), el("span", { class: "number share" }, share(n, told.total))];
  const row = ({ value, count: n }) => el("li", {},
    words(value || "none given", "span", value ? "value" : "value quiet"), numbers(n), bar(["out", n / widest]));
  const rest = told.values.slice(FIRST);
  const fewer = told.num_values - told.values.length;
  const said = `${name === told.title ? `${told.of}, ` : ""}${count(told.total)}`;
  return el("figure", { class: "shares" },
    el("figcaption", {}, el("strong", {}, name), el("span", { class: "quiet" }, ` ${said}`)),
    el("ol", {}, told.values.slice(0, FIRST).map(row)),
    rest.length > 0 && details(`${rest.length} more`, () => el("ol", {}, rest.map(row))),
    told.others > 0 && el("p", { class: "others" }, fewer > 0 ? plural(fewer, "other") : "others", numbers(told.others)));
}
