// Every rule that dropped something, by step and level; opened, a rule shows examples.
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
  const drawn = row.rules.map((facts) => ({ facts, element: rule(data, facts, widest) }));
  const head = el("div", { class: "rule-head", "aria-hidden": "true" },
    ["Rule", "", "Dropped", "Only", "Median", "Bound"].map((name) => el("span", {}, name)));
  const element = el("div", { class: "rule-group" },
    el("h3", {}, sentence(row.things), el("span", { class: "quiet" }, ` in ${row.step}, ${count(row.taken)} dropped`)),
    head, drawn.map((d) => d.element));
  return { step: row.step, element, rules: drawn };
}

function rule(data, facts, widest) {
  const number = (name, value) =>
    el("span", { class: "number", "data-name": name }, value && el("span", { class: "unseen" }, `${name} `), value);
  const summary = el("span", { class: "rule-row" },
    el("span", { class: "rule-name" }, el("span", { class: "code" }, facts.rule), el("span", { class: "quiet" }, facts.meaning)),
    bar(["taken", facts.dropped / widest]),
    number("dropped", count(facts.dropped)), number("only", count(facts.alone)),
    number("median", measure(facts.median)), number("bound", measure(facts.threshold)));
  return details(summary, () => facts.examples.length
    ? el("ul", { class: "examples" }, facts.examples.map((item) => example(data, item)))
    : el("p", { class: "quiet" }, "No examples."), { class: "rule" });
}

function found(form, groups) {
  const step = form.elements.step.value;
  const text = form.elements.text.value.trim().toLowerCase();
  let shown = 0;
  for (const g of groups) {
    let here = 0;
    for (const { facts, element } of g.rules) {
      const fits = (!step || g.step === step) && `${facts.rule} ${facts.meaning}`.toLowerCase().includes(text);
      element.hidden = !fits;
      here += fits;
    }
    g.element.hidden = !here;
    shown += here;
  }
  form.querySelector(".found").textContent = plural(shown, "rule");
}

/** Opens the rule of a link in the funnel. */
function goTo(event, form, groups, narrow) {
  const name = event.target.closest?.("[data-rule]")?.dataset.rule;
  if (!name) return;
  event.preventDefault();
  form.reset();
  narrow();
  const { element } = groups.flatMap((g) => g.rules).find(({ facts }) => facts.rule === name);
  element.open = true;
  element.scrollIntoView({ block: "start" });
  element.querySelector("summary").focus({ preventScroll: true });
}
