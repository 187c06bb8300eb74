// The funnel: a lane for each kind of item, a row for each step; all bars of a lane have one scale.
import { bar, el, find, table } from "./dom.js";
import { grouped, sentence } from "./groups.js";
import { count, known, share } from "./numbers.js";

const MOST = 3; // rules listed for a step

export function funnel(data) {
  const lanes = grouped(data.funnel, (row) => row.things);
  for (const [things, rows] of lanes) find("lanes").append(lane(things, rows));
}

function lane(things, rows) {
  const widest = Math.max(1, ...rows.map((row) => (known(row.in) ? row.in + Math.max(0, row.before) : row.taken)));
  const columns = [["Step", "name"], ["", "drawn"], ["Input", "number"], ["Dropped", "number"], ["", "number share"],
    ["Kept", "number"], ["Top rules", "by"]];
  const drawn = rows.map((row) => [row.step, lengths(row, widest), count(row.in), count(row.taken),
    row.taken > 0 && known(row.in) ? share(row.taken, row.in) : "", count(row.out), most(row.rules)]);
  return el("div", { class: "lane" }, el("h3", {}, sentence(things)), table(`${sentence(things)}, step by step`, columns, drawn));
}

function lengths(row, widest) {
  return bar(["out", Math.max(0, row.out) / widest], ["taken", row.taken / widest],
    ["before", Math.max(0, row.before) / widest]);
}

function most(rules) {
  return rules.slice(0, MOST).map((rule) =>
    el("a", { class: "code", href: "#rules", "data-rule": rule.rule }, rule.rule, el("span", {}, ` ${count(rule.dropped)}`)));
}
