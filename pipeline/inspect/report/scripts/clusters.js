// Clusters of duplicates: the kept one, and some of the others.
import { details, el, find, paged } from "./dom.js";
import { example } from "./examples.js";
import { count, plural } from "./numbers.js";

const AT_A_TIME = 20;

export function clusters(data) {
  const ordered = [...data.clusters].sort((a, b) => b.size - a.size);
  find("cluster-list").append(paged(ordered, AT_A_TIME, (group) => cluster(data, group)));
}

function cluster(data, group) {
  const one = group.survivor.id !== "";
  const summary = el("span", { class: "cluster-row" },
    el("span", { class: "number" }, count(group.size)), el("span", {}, group.kind), el("span", { class: "code" }, group.rule),
    el("span", { class: "quiet brief", dir: "auto" }, group.survivor.text || group.survivor.url || "all kept"));
  return details(summary, () => el("div", {},
    el("ul", { class: "examples" }, one && example(data, group.survivor, el("strong", {}, "kept")),
      group.members.map((member) => example(data, member, one ? "dropped" : "kept"))),
    left(group)), { class: "rule" });
}

function left(group) {
  const others = group.size - group.members.length - (group.survivor.id ? 1 : 0);
  return others > 0 ? el("p", { class: "quiet" }, `and ${plural(others, "other")}`) : "";
}
