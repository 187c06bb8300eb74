// Run time and counts of each step.
import { bar, details, el, find } from "./dom.js";
import { duration, share } from "./numbers.js";
import { keys } from "./recipe.js";

export function steps(data) {
  const longest = Math.max(...data.steps.map((s) => s.seconds));
  const total = data.steps.reduce((sum, s) => sum + s.seconds, 0);
  find("step-list").append(...data.steps.map((entry) => {
    const summary = el("span", { class: "step-row" }, el("span", {}, entry.step), bar(["out", entry.seconds / (longest || 1)]),
      el("span", { class: "number" }, duration(entry.seconds)), el("span", { class: "number share" }, share(entry.seconds, total)));
    return details(summary, () => keys(`Counts of ${entry.step}`, { ...entry.counts, ...entry.notes }), { class: "rule" });
  }));
}
