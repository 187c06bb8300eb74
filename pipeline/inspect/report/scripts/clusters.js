// Clusters of duplicates: the kept one, and some of the dropped ones.
import { details, el, find, paged } from "./dom.js";
import { example } from "./examples.js";
import { count, plural } from "./numbers.js";

const AT_A_TIME = 20;

export function clusters(data) {
  const ordered = [...data.clusters].sort((a, b) => b.size - a.size);
  find("cluster-list").append(paged(ordered, AT_A_TIME, (entry) => cluster(data, entry)));
}

function cluster(data, entry) {
  const one = entry.survivor.id !== "";
  const summary = el("span", { class: "cluster-row" },
    el("span", { class: "number" }, count(entry.size)), el("span", {}, entry.kind), el("span", { class: "code" }, entry.rule),
    el("span", { class: "quiet brief", dir: "auto" }, entry.survivor.text || entry.survivor.url || "all kept"));
  return details(summary, () => el("div", {},
    el("ul", { class: "examples" }, one && example(data, entry.survivor, el("strong", {}, "kept")),
      entry.members.map((member) => example(data, member, one ? "dropped" : "kept too"))),
    remaining(entry)), { class: "rule" });
}

function remaining(entry) {
  const others = entry.size - entry.members.length - (entry.survivor.id ? 1 : 0);
  return others > 0 ? el("p", { class: "quiet" }, `and ${plural(others, "other")}`) : "";
}
