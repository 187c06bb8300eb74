// Every rule that took something, under the step and the things that it judged; opened, it shows examples.
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
  const drawn = row.rules.map((told) => ({ told, element: rule(data, told, widest) }));
  const head = el("div", { class: "rule-head", "aria-hidden": "true" },
    ["Rule", "", "Dropped", "Alone", "Median", "Bound"].map((name) => el("span", {}, name)));
  const element = el("div", { class: "rule-group" },
    el("h3", {}, sentence(row.things), el("span", { class: "quiet" }, ` in ${row.step}, ${count(row.taken)} taken`)),
    head, drawn.map((d) => d.element));
  return { step: row.step, element, rules: drawn };
}

function rule(data, told, widest) {
  const number = (name, value) =>
    el("span", { class: "number", "data-name": name }, value && el("span", { class: "unseen" }, `${name} `), value);
  const summary = el("span", { class: "rule-row" },
    el("span", { class: "rule-name" }, el("span", { class: "code" }, told.rule), el("span", { class: "quiet" }, told.meaning)),
    bar(["taken", told.dropped / widest]),
    number("dropped", count(told.dropped)), number("alone", count(told.alone)),
    number("median", measure(told.median)), number("bound", measure(told.threshold)));
  return details(summary, () => told.examples.length
    ? el("ul", { class: "examples" }, told.examples.map((item) => example(data, item)))
    : el("p", { class: "quiet" }, "No examples were kept."), { class: "rule" });
}

function found(form, groups) {
  const step = form.elements.step.value;
  const text = form.elements.text.value.trim().toLowerCase();
  let shown = 0;
  for (const g of groups) {
    let here = 0;
    for (const { told, element } of g.rules) {
      const fits = (!step || g.step === step) && `${told.rule} ${told.meaning}`.toLowerCase().includes(text);
      element.hidden = !fits;
      here += fits;
    }
    g.element.hidden = !here;
    shown += here;
  }
  form.querySelector(".found").textContent = plural(shown, "rule");
}

/** A rule that is named in the funnel opens here. */
function goTo(event, form, groups, narrow) {
  const name = event.target.closest?.("[data-rule]")?.dataset.rule;
  if (!name) return;
  event.preventDefault();
  form.reset();
  narrow();
  const { element } = groups.flatMap((g) => g.rules).find(({ told }) => told.rule === name);
  element.open = true;
  element.scrollIntoView({ block: "start" });
  element.querySelector("summary").focus({ preventScroll: true });
}
