// Time by step, and what each step counted.
import { bar, details, el, find } from "./dom.js";
import { duration, share } from "./numbers.js";
import { keys } from "./recipe.js";

export function steps(data) {
  const longest = Math.max(...data.steps.map((s) => s.seconds));
  const total = data.steps.reduce((sum, s) => sum + s.seconds, 0);
  find("step-list").append(...data.steps.map((told) => {
    const summary = el("span", { class: "step-row" }, el("span", {}, told.step), bar(["out", told.seconds / (longest || 1)]),
      el("span", { class: "number" }, duration(told.seconds)), el("span", { class: "number share" }, share(told.seconds, total)));
    return details(summary, () => keys(`What ${told.step} counted`, { ...told.counts, ...told.notes }), { class: "rule" });
  }));
}
