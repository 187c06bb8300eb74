// An example of a rejection or a member of a cluster: text, image, address.
import { address, cut, el, picture, words } from "./dom.js";
import { measure } from "./numbers.js";

const MOST_CHARACTERS = 400;

/** Shows {url, text, image} and the measure. */
export function example(data, item, note = "") {
  return el("li", { class: "example" },
    item.image && picture(data, item.image, item.text ? cut(item.text, 100) : "an image of this page"),
    item.text && words(cut(item.text, MOST_CHARACTERS), "p"),
    el("p", { class: "note" }, note, measured(item), item.detail && words(cut(item.detail, 160))),
    item.url && address(item.url));
}

function measured(item) {
  const value = measure(item.measure);
  const bound = measure(item.threshold);
  if (!value) return "";
  return el("span", { class: "measured" }, value, bound && el("span", { class: "quiet" }, ` bound ${bound}`));
}
