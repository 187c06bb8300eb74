// An example of a rule or cluster: text, image and source.
import { address, cut, el, picture, words } from "./dom.js";
import { measure } from "./numbers.js";

const MOST_CHARACTERS = 400;

/** Draws {url, text, image} with its measure. */
export function example(data, item, note = "") {
  return el("li", { class: "example" },
    item.image && picture(data, item.image, item.text ? cut(item.text, 100) : "an image on this page"),
    item.text && words(cut(item.text, MOST_CHARACTERS), "p"),
    el("p", { class: "note" }, note, measured(item), item.detail && words(cut(item.detail, 160))),
    item.url && address(item.url));
}

function measured(item) {
  const value = measure(item.measure);
  const threshold = measure(item.threshold);
  if (!value) return "";
  return el("span", { class: "measured" }, value, threshold && el("span", { class: "quiet" }, ` threshold ${threshold}`));
}
