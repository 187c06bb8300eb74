// Clusters of duplicates: which one stayed, and some of those that went.
import { details, el, find, paged } from "./dom.js";
import { example } from "./examples.js";
import { count, plural } from "./numbers.js";

const AT_A_TIME = 20;

export function clusters(data) {
  const ordered = [...data.clusters].sort((a, b) => b.size - a.size);
  find("cluster-list").append(paged(ordered, AT_A_TIME, (told) => cluster(data, told)));
}

function cluster(data, told) {
  const one = told.survivor.id !== "";
  const summary = el("span", { class: "cluster-row" },
    el("span", { class: "number" }, count(told.size)), el("span", {}, told.kind), el("span", { class: "code" }, told.rule),
    el("span", { class: "quiet brief", dir: "auto" }, told.survivor.text || told.survivor.url || "all stay"));
  return details(summary, () => el("div", {},
    el("ul", { class: "examples" }, one && example(data, told.survivor, el("strong", {}, "stayed")),
      told.members.map((member) => example(data, member, one ? "went" : "stayed too"))),
    left(told)), { class: "rule" });
}

function left(told) {
  const others = told.size - told.members.length - (told.survivor.id ? 1 : 0);
  return others > 0 ? el("p", { class: "quiet" }, `and ${plural(others, "other")}`) : "";
}
