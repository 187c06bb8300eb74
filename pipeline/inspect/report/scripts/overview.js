// The head of the report: totals, warnings and corpora.
import { el, find, table, words } from "./dom.js";
import { bytes, count, duration, known, measure, plural } from "./numbers.js";

const TOTALS = [
  ["archives", "Archives", count], ["pages", "Pages", count], ["images", "Images", count],
  ["samples", "Samples", count], ["bytes", "In shards", bytes], ["seconds", "Time", duration],
];
const ROWS = [
  ["Samples", (c) => count(c.samples)],
  ["Held out for validation", (c) => count(c.held_out)],
  ["Images", (c) => count(c.images)],
  ["Words", (c) => count(c.words)],
  ["Words of a sample, median", (c) => measure(c.words_a_sample?.["0.5"]) || "–"],
  ["Tokens", (c) => count(c.tokens)],
  ["CLIP score, median", (c) => measure(c.clip_score?.["0.5"]) || "–"],
  ["Hosts", (c) => count(c.num_hosts)],
  ["Languages", (c) => count(c.num_languages)],
  ["Shards", (c) => count(c.shards)],
  ["Size", (c) => (known(c.bytes) ? bytes(c.bytes) : "–")],
];

export function overview(data) {
  if (data.recipe.name) find("kicker").append(" · recipe ", words(String(data.recipe.name)));
  find("title").append(words(data.title));
  find("lede").append(sentences(data.totals));
  warn(data.warnings);
  const isShown = ([name]) => known(data.totals[name]) && (name !== "seconds" || data.steps.length);
  find("totals").append(...TOTALS.filter(isShown).map(([name, title, format]) =>
    el("div", {}, el("dt", {}, title), el("dd", {}, format(data.totals[name])))));
  const corpora = Object.entries(data.corpora);
  if (!corpora.length) return;
  const columns = [["Corpus", "name"], ...corpora.map(([name]) => [name, "number"])];
  const rows = ROWS.filter(([, of]) => corpora.some(([, c]) => of(c) !== "–"));
  find("corpora").append(
    el("div", {}, el("h2", {}, "Corpora"), el("p", { class: "quiet" }, "The train split. Samples held out for validation are not counted in the other lines.")),
    table("Contents of each corpus", columns,
    rows.map(([name, of]) => [name, ...corpora.map(([, corpus]) => of(corpus))])));
}

/** Shows the warnings before the figures. */
function warn(warnings) {
  const place = find("warnings");
  place.hidden = !warnings.length;
  place.append(el("h2", {}, plural(warnings.length, "warning")), el("ul", {}, warnings.map(({ step, text, remedy }) =>
    el("li", {}, el("p", {}, el("strong", {}, step), " ", words(text)), el("p", { class: "quiet" }, words(remedy))))));
}

function sentences({ archives, pages, images, samples }) {
  const sources = [known(pages) && plural(pages, "page"), known(images) && plural(images, "image")].filter(Boolean).join(" and ");
  const input = known(archives) && known(pages) && `${plural(archives, "archive")} with ${sources}. `;
  return `${input || ""}${plural(samples, "sample")} ${input ? "were made from them" : "in shards"}.`;
}
