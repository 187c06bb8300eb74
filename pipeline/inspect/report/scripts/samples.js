// The sample browser: a list of matching samples, one of them open.
import { cut, el, find, picture, words } from "./dom.js";
import { documentOf, linkOf } from "./document.js";
import { best, offer, wanted } from "./filters.js";
import { count, score } from "./numbers.js";

const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

export function samples(data) {
  const form = find("sample-filters");
  const state = { hits: [], at: 0 };
  offer(form, data.samples);
  const open = (at) => {
    state.at = Math.max(0, Math.min(at, state.hits.length - 1));
    draw(data, state, form.elements.text.value.trim().toLowerCase());
    if (find("reader").getBoundingClientRect().top < 0) find("reader").scrollIntoView();
  };
  const narrow = () => {
    state.hits = wanted(form, data.samples);
    find("hits").replaceChildren(...state.hits.map((sample, i) => hit(data, sample, () => open(i))));
    open(0);
  };
  form.addEventListener("input", narrow);
  form.addEventListener("submit", (event) => event.preventDefault());
  find("previous").addEventListener("click", () => open(state.at - 1));
  find("next").addEventListener("click", () => open(state.at + 1));
  document.addEventListener("keydown", (event) => turn(event, state, open));
  const follow = () => {
    const at = data.samples.findIndex((sample) => linkOf(sample) === window.location.hash);
    if (at < 0) return;
    form.reset();
    narrow();
    open(at);
    document.querySelector(".browser").scrollIntoView();
  };
  window.addEventListener("hashchange", follow);
  narrow();
  follow();
}

function hit(data, sample, open) {
  const image = sample.blocks.find((b) => b.image)?.image;
  const texts = sample.blocks.map((b) => b.text || b.caption);
  const label = [sample.corpus !== "caption" && sample.title, ...texts, sample.title, sample.key].find(Boolean);
  const top = best(sample);
  return el("li", {}, el("button", { type: "button", tabindex: "-1", onclick: open },
    image && picture(data, image, "", { loading: "lazy" }),
    el("span", { class: "hit" }, words(cut(label, 90)),
      el("span", { class: "quiet" }, sample.host, top > -Infinity && ` · ${score(top)}`))));
}

function draw(data, state, query) {
  const sample = state.hits[state.at];
  find("place").textContent = sample ? `${count(state.at + 1)} of ${count(state.hits.length)}` : "No sample matches";
  find("previous").disabled = state.at <= 0;
  find("next").disabled = state.at >= state.hits.length - 1;
  find("reader").replaceChildren(sample ? documentOf(data, sample) : el("p", { class: "quiet" }, "Relax a filter to see samples."));
  for (const [i, item] of [...find("hits").children].entries()) {
    const button = item.firstChild;
    button.tabIndex = i === state.at ? 0 : -1;
    if (i === state.at) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  const list = find("hits");
  const item = list.children[state.at];
  if (item) list.scrollTop = item.offsetTop - (list.clientHeight - item.clientHeight) / 2;
  mark(query);
}

/** Highlights the matches of the text filter without changing the DOM. */
function mark(query) {
  if (!globalThis.Highlight) return;
  const ranges = [];
  const walk = document.createTreeWalker(find("reader"), NodeFilter.SHOW_TEXT);
  while (query && walk.nextNode()) {
    const text = walk.currentNode.data.toLowerCase();
    for (let at = text.indexOf(query); at >= 0 && text.length === walk.currentNode.length; at = text.indexOf(query, at + query.length)) {
      const range = new Range();
      range.setStart(walk.currentNode, at);
      range.setEnd(walk.currentNode, at + query.length);
      ranges.push(range);
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}

/** Arrow keys browse samples while the section is visible and no field has focus; up and down only in the list. */
function turn(event, state, open) {
  const step = STEPS[event.key];
  const inList = find("hits").contains(event.target);
  const upright = event.key === "ArrowUp" || event.key === "ArrowDown";
  if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || (upright && !inList)) return;
  if (event.target.closest("input, select, textarea") || !isVisible()) return;
  event.preventDefault();
  open(state.at + step);
  if (inList) find("hits").children[state.at]?.firstChild.focus({ preventScroll: true });
}

function isVisible() {
  const { top, bottom } = document.querySelector(".browser").getBoundingClientRect();
  return top < 0.7 * window.innerHeight && bottom > 0.2 * window.innerHeight;
}
