// Distributions: the same measure of several corpora or tables in a row, on one scale.
import { details, el, find, table } from "./dom.js";
import { chart, SHORT } from "./charts.js";
import { inRows } from "./groups.js";
import { count, measure, plural } from "./numbers.js";

const HEIGHT = 120;
const QUANTILES = [["0.05", "5 %"], ["0.25", "25 %"], ["0.5", "median"], ["0.75", "75 %"], ["0.95", "95 %"]];

export function spreads(data) {
  const drawn = data.spreads.filter((spread) => spread.bins.length);
  find("spread-groups").append(...inRows(drawn, Object.keys(data.corpora), figure));
}

function domainOf(spreads) {
  const ends = spreads.flatMap(placed).flatMap((bin) => [bin.left, bin.right]);
  return [Math.min(...ends), Math.max(...ends)];
}

/** Bins with their drawn ends: on a log scale a bin from 0 gets the width of the others. */
function placed({ bins, scale }) {
  if (scale !== "log") return bins.map((bin) => ({ ...bin, left: bin.from, right: bin.to }));
  const whole = bins.filter((bin) => bin.from > 0);
  const ratio = whole.length ? whole[0].to / whole[0].from : 10;
  return bins.filter((bin) => bin.to > 0).map((bin) => ({ ...bin, left: bin.from > 0 ? bin.from : bin.to / ratio, right: bin.to }));
}

function figure(spread, name, row) {
  const total = spread.bins.reduce((sum, bin) => sum + bin.count, 0);
  const quantiles = QUANTILES.filter(([q]) => q in spread.quantiles);
  const middle = spread.quantiles["0.5"];
  const alt = `${spread.title}, ${spread.of}: ${count(total)} values${middle === undefined ? "" : `, median ${measure(middle)} ${spread.unit}`}`;
  return el("figure", {},
    el("figcaption", {}, el("strong", {}, name),
      el("span", { class: "quiet" }, ` ${name === spread.title ? `${spread.of}, ` : ""}${plural(total, "value")}`)),
    chart(specOf(spread, domainOf(row)), alt),
    el("dl", { class: "quantiles" }, quantiles.map(([q, name]) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, measure(spread.quantiles[q]))))),
    details("Figures", () => table(alt, [["From", "number"], ["To", "number"], ["Count", "number"]],
      spread.bins.map((bin) => [measure(bin.from), measure(bin.to), count(bin.count)])), { class: "figures" }));
}

function specOf(spread, domain) {
  const scale = { type: spread.scale, domain, nice: false };
  const values = placed(spread).map((bin) => ({
    ...bin, [spread.unit]: `${measure(bin.from)} to ${measure(bin.to)}`, number: count(bin.count),
  }));
  const x = { type: "quantitative", scale, title: spread.unit, axis: axisOf(spread.scale, domain) };
  const middle = spread.quantiles["0.5"];
  const bars = {
    mark: { type: "bar", binSpacing: 1 },
    encoding: {
      x: { field: "left", ...x }, x2: { field: "right" },
      y: { field: "count", type: "quantitative", title: null, axis: { tickCount: 3, labelExpr: SHORT, domain: false } },
      y2: { datum: 0 },
      tooltip: [{ field: spread.unit }, { field: "number" }],
    },
  };
  const median = { data: { values: [{ median: middle }] }, mark: { type: "rule" }, encoding: { x: { field: "median", ...x } } };
  const inside = middle >= domain[0] && middle <= domain[1];
  return { height: HEIGHT, data: { values }, layer: inside ? [bars, median] : [bars] };
}

function axisOf(scale, [low, high]) {
  const plain = { grid: false, ...(high >= 1000 ? { labelExpr: SHORT } : { format: "~g" }), tickCount: 5, labelOverlap: true };
  if (scale !== "log") return plain;
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const tens = Array.from({ length: Math.max(0, Math.floor(Math.log10(high) + 1e-9) - first + 1) }, (_, i) => 10 ** (first + i));
  return tens.length > 1 ? { ...plain, values: tens } : plain;
}
