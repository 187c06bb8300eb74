// Charts by Vega-Lite, drawn when the browser is idle, with the page's colours.
import { el, find } from "./dom.js";

/** The format of large numbers on an axis: 0, 2k, 400M. */
export const SHORT = "format(datum.value, '~s')";
const CONFIG = {
  background: null,
  font: "inherit",
  view: { stroke: null },
  bar: { color: "var(--accent)" },
  tick: { color: "var(--accent)" },
  rule: { color: "var(--ink)" },
  axis: {
    labelColor: "var(--quiet)", titleColor: "var(--quiet)", labelFontSize: 11, titleFontSize: 11, titleFontWeight: 400,
    domainColor: "var(--line)", gridColor: "var(--line)", tickColor: "var(--line)", ticks: false, labelPadding: 5,
  },
};
const waiting = [];
const tip = el("div", { class: "tip", role: "presentation", hidden: true });

/** Makes a placeholder for a chart; `alt` is its text alternative. */
export function chart(spec, alt) {
  const place = el("div", { class: "chart", role: "img", "aria-label": alt });
  place.style.setProperty("--height", `${spec.height + 48}px`);
  waiting.push([place, spec]);
  return place;
}

/** Loads the library and draws the waiting charts one by one. */
export function drawCharts() {
  if (!waiting.length) return;
  document.body.append(tip);
  soon(() => {
    load();
    const next = async () => {
      const [place, spec] = waiting.shift();
      await window.vegaEmbed(place, { config: CONFIG, width: "container", ...spec }, {
        actions: false, ast: true, defaultStyle: false, mode: "vega-lite", renderer: "svg", tooltip: show,
      });
      if (waiting.length) soon(next);
      else performance.mark("drawn");
    };
    soon(next);
  });
}

function soon(work) {
  if (window.requestIdleCallback) window.requestIdleCallback(work, { timeout: 2000 });
  else setTimeout(work, 50);
}

/** Loads the library; the Trusted Types policy allows no other script and no HTML. */
function load() {
  const library = find("library").textContent;
  window.trustedTypes?.createPolicy("default", {
    createHTML: (text) => (text === "" ? "" : null),
    createScript: (text) => (text === library ? text : null),
  });
  const script = document.createElement("script");
  script.textContent = library;
  document.head.append(script);
}

function show(handler, event, item, value) {
  tip.hidden = !value;
  if (!value) return;
  tip.replaceChildren(...Object.entries(value).map(([name, text]) =>
    el("div", {}, el("span", { class: "quiet" }, `${name} `), String(text))));
  const left = Math.min(event.clientX + 12, window.innerWidth - tip.offsetWidth - 8);
  tip.style.setProperty("left", `${left}px`);
  tip.style.setProperty("top", `${event.clientY + 14}px`);
}
