// Groups: rows by key, and figures of one measure in a row.
import { el } from "./dom.js";

/** Rows by key, in order of first occurrence. */
export function grouped(rows, key) {
  const groups = new Map();
  for (const row of rows) groups.set(key(row), [...(groups.get(key(row)) ?? []), row]);
  return groups;
}

export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * Draws figures with the same name under their title, corpora first; figures with a unique name share one grid.
 * draw(figure, name, row) makes one: its label, and all figures of its row.
 */
export function inRows(figures, corpora, draw) {
  const place = ({ of }) => (corpora.includes(of) ? corpora.indexOf(of) : corpora.length);
  const groups = [...grouped(figures, (figure) => figure.name).values()];
  const grid = (made) => el("div", { class: "grid" }, made);
  const rows = groups.filter((group) => group.length > 1).flatMap((group) => [
    el("h3", {}, group[0].title),
    grid(group.toSorted((a, b) => place(a) - place(b)).map((figure) => draw(figure, sentence(figure.of), group))),
  ]);
  const single = groups.filter((group) => group.length === 1).flat();
  return [...rows, single.length > 0 && grid(single.map((figure) => draw(figure, figure.title, [figure])))].filter(Boolean);
}
