// The rules that dropped items, by step and kind of item, with examples.
import { bar, details, el, find } from "./dom.js";
import { example } from "./examples.js";
import { sentence } from "./groups.js";
import { count, measure, plural } from "./numbers.js";

export function rules(data) {
  const groups = data.funnel.filter((row) => row.rules.length).map((row) => group(data, row));
  find("rule-groups").append(...groups.map((g) => g.element));
  const form = find("rule-filters");
  for (const step of new Set(groups.map((g) => g.step))) form.elements.step.append(el("option", { value: step }, step));
  const narrow = () => found(form, groups);
  form.addEventListener("input", narrow);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", (event) => goTo(event, form, groups, narrow));
  narrow();
}

function group(data, row) {
  const widest = Math.max(1, ...row.rules.map((rule) => rule.dropped));
  const drawn = row.rules.map((entry) => ({ entry, element: rule(data, entry, widest) }));
  const head = el("div", { class: "rule-head", "aria-hidden": "true" },
    ["Rule", "", "Dropped", "Alone", "Median", "Threshold"].map((name) => el("span", {}, name)));
  const element = el("div", { class: "rule-group" },
    el("h3", {}, sentence(row.things), el("span", { class: "quiet" }, ` in ${row.step}, ${count(row.taken)} dropped`)),
    head, drawn.map((d) => d.element));
  return { step: row.step, element, rules: drawn };
}

function rule(data, entry, widest) {
  const number = (name, value) =>
    el("span", { class: "number", "data-name": name }, value && el("span", { class: "unseen" }, `${name} `), value);
  const summary = el("span", { class: "rule-row" },
    el("span", { class: "rule-name" }, el("span", { class: "code" }, entry.rule), el("span", { class: "quiet" }, entry.meaning)),
    bar(["taken", entry.dropped / widest]),
    number("dropped", count(entry.dropped)), number("alone", count(entry.alone)),
    number("median", measure(entry.median)), number("threshold", measure(entry.threshold)));
  return details(summary, () => entry.examples.length
    ? el("ul", { class: "examples" }, entry.examples.map((item) => example(data, item)))
    : el("p", { class: "quiet" }, "No examples were stored."), { class: "rule" });
}

function found(form, groups) {
  const step = form.elements.step.value;
  const text = form.elements.text.value.trim().toLowerCase();
  let shown = 0;
  for (const g of groups) {
    let here = 0;
    for (const { entry, element } of g.rules) {
      const matches = (!step || g.step === step) && `${entry.rule} ${entry.meaning}`.toLowerCase().includes(text);
      element.hidden = !matches;
      here += matches;
    }
    g.element.hidden = !here;
    shown += here;
  }
  form.querySelector(".found").textContent = plural(shown, "rule");
}

/** Opens a rule that is linked from the funnel. */
function goTo(event, form, groups, narrow) {
  const name = event.target.closest?.("[data-rule]")?.dataset.rule;
  if (!name) return;
  event.preventDefault();
  form.reset();
  narrow();
  const { element } = groups.flatMap((g) => g.rules).find(({ entry }) => entry.rule === name);
  element.open = true;
  element.scrollIntoView({ block: "start" });
  element.querySelector("summary").focus({ preventScroll: true });
}
