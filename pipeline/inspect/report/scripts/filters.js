// The filter form of the samples.
import { el, find } from "./dom.js";
import { score } from "./numbers.js";

/** Fills the form with the samples' values. */
export function offer(form, samples) {
  choices(form.elements.corpus, "All corpora", samples.map((s) => s.corpus));
  choices(form.elements.language, "All languages", samples.map((s) => s.language).sort());
  find("hosts").append(...[...new Set(samples.map((s) => s.host))].sort().map((host) => el("option", { value: host })));
  const scores = samples.map(best).filter((x) => x > -Infinity);
  const range = form.elements.score;
  range.min = scores.length ? Math.floor(100 * Math.min(...scores)) / 100 : 0;
  range.max = scores.length ? Math.ceil(100 * Math.max(...scores)) / 100 : 1;
  range.step = 0.01;
  range.defaultValue = range.min; // restored by a reset of the form
  range.disabled = !scores.length;
}

function choices(select, all, values) {
  select.append(el("option", { value: "" }, all),
    ...[...new Set(values)].filter(Boolean).map((value) => el("option", { value }, value)));
}

/** The score of a sample's best image; -Infinity without scores. */
export function best(sample) {
  return Math.max(-Infinity, ...sample.blocks.map((b) => b.score).filter((x) => typeof x === "number"));
}

const texts = new WeakMap();

function textOf(sample) {
  if (!texts.has(sample)) {
    const blocks = sample.blocks.map((b) => [b.text, b.caption, b.alt].filter(Boolean).join("\n"));
    texts.set(sample, [sample.title, sample.key, sample.url, ...blocks].join("\n").toLowerCase());
  }
  return texts.get(sample);
}

/** Returns the samples that match the form, and updates the output of its range. */
export function wanted(form, samples) {
  const { corpus, language, host, text, score: least } = form.elements;
  const any = Number(least.value) <= Number(least.min);
  form.querySelector("output").textContent = any ? "any" : score(Number(least.value));
  const name = host.value.trim().toLowerCase();
  const query = text.value.trim().toLowerCase();
  return samples.filter((s) => (!corpus.value || s.corpus === corpus.value)
    && (!language.value || s.language === language.value)
    && (!name || s.host.toLowerCase().includes(name))
    && (any || best(s) >= Number(least.value))
    && (!query || textOf(s).includes(query)));
}
