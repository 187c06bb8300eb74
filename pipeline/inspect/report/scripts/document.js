// One sample as a page: its blocks in order.
import { address, el, picture, words } from "./dom.js";
import { plural, score } from "./numbers.js";

/** The link to a sample in this report. */
export function linkOf(sample) {
  return `#sample-${encodeURIComponent(sample.key)}`;
}

export function documentOf(data, sample) {
  const title = words(sample.title || sample.host || sample.key, "h3", "sample-title");
  title.id = "sample-title";
  return el("article", { class: "sample", "data-corpus": sample.corpus, "aria-labelledby": "sample-title" },
    el("header", {},
      title,
      el("p", { class: "about" }, [sample.corpus, sample.split !== "train" && sample.split, sample.language,
        sample.num_words > 0 && plural(sample.num_words, "word"), sample.captured_at.slice(0, 10)]
        .filter(Boolean).map((fact) => el("span", {}, fact))),
      sample.url && el("p", {}, address(sample.url)), el("p", { class: "code" }, el("a", { href: linkOf(sample) }, sample.key))),
    el("div", { class: "blocks" }, sample.blocks.map((block) =>
      (block.kind === "image" ? image(data, block) : words(block.text, "p", "prose")))));
}

function image(data, block) {
  const texts = [block.caption, block.alt !== block.caption && block.alt].filter(Boolean);
  const sides = block.width > 0 && block.height > 0 ? { width: block.width, height: block.height } : {};
  const facts = [typeof block.score === "number" && `CLIP ${score(block.score)}`,
    block.width > 0 && `${block.width} × ${block.height}`].filter(Boolean);
  return el("figure", { class: "picture" },
    picture(data, block.image, texts[0] ?? "no alternative text", sides),
    el("figcaption", {},
      block.caption && words(block.caption, "p", "caption"),
      block.alt && block.alt !== block.caption && el("p", { class: "alt" }, el("span", { class: "quiet" }, "alt "), words(block.alt)),
      el("p", { class: "about" }, facts.map((fact) => el("span", {}, fact)), block.url && address(block.url, 70))));
}
