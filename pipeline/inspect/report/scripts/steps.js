// Time and counts of each step.
import { bar, details, el, find } from "./dom.js";
import { duration, share } from "./numbers.js";
import { keys } from "./recipe.js";

export function steps(data) {
  const longest = Math.max(...data.steps.map((s) => s.seconds));
  const total = data.steps.reduce((sum, s) => sum + s.seconds, 0);
  find("step-list").append(...data.steps.map((step) => {
    const summary = el("span", { class: "step-row" }, el("span", {}, step.step), bar(["out", step.seconds / (longest || 1)]),
      el("span", { class: "number" }, duration(step.seconds)), el("span", { class: "number share" }, share(step.seconds, total)));
    return details(summary, () => keys(`Counts of ${step.step}`, { ...step.counts, ...step.notes }), { class: "rule" });
  }));
}
