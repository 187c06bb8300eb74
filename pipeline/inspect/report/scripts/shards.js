// Shard balance: a mark for each shard by size; below it the minimum, median and maximum of each corpus.
import { details, el, find, table } from "./dom.js";
import { chart, SHORT } from "./charts.js";
import { grouped } from "./groups.js";
import { bytes, count } from "./numbers.js";

const ROW = 34; // pixels

export function shards(data) {
  if (!data.shards.length) return;
  const named = data.shards.map((shard) => ({ ...shard, group: groupOf(shard), size: bytes(shard.num_bytes) }));
  const all = Object.values(data.num_shards ?? {}).reduce((sum, n) => sum + n, 0);
  const groups = grouped(named, (shard) => shard.group);
  const spec = {
    height: ROW * groups.size,
    data: { values: named.map((s) => ({ ...s, samples: count(s.num_samples) })) },
    mark: { type: "tick", thickness: 2, opacity: 0.7, bandSize: 18 },
    encoding: {
      x: { field: "num_bytes", type: "quantitative", title: "shard size [bytes]", scale: { zero: true }, axis: { labelExpr: SHORT, tickCount: 6 } },
      y: { field: "group", type: "nominal", title: null, sort: [...groups.keys()], axis: { labelColor: "var(--ink)", labelLimit: 140, domain: false } },
      tooltip: [{ field: "tar" }, { field: "samples" }, { field: "size" }],
    },
  };
  find("shard-balance").append(...[
    el("figure", {}, chart(spec, `Sizes of ${count(named.length)} shards, by corpus; the table below has the values`)),
    all > named.length && el("p", { class: "quiet" }, `${count(named.length)} of ${count(all)} shards, a sample.`),
    table("Shards by corpus", [["Corpus", "name"], ["Shards", "number"], ["Samples, median", "number"], ["Size, minimum", "number"],
      ["Median", "number"], ["Maximum", "number"]], [...groups].map(([group, of]) => [group, count(of.length), ...spreadOf(of)])),
    details("Each shard", () => table("Each shard", [["Shard", "name code"], ["Samples", "number"], ["Images", "number"], ["Size", "number"]],
      named.map((s) => [s.tar, count(s.num_samples), count(s.num_images), s.size])), { class: "figures" }),
  ].filter(Boolean));
}

function groupOf(shard) {
  return shard.split === "train" ? shard.corpus : `${shard.corpus}, ${shard.split}`;
}

function spreadOf(of) {
  const [samples, sizes] = ["num_samples", "num_bytes"].map((name) => of.map((s) => s[name]).sort((a, b) => a - b));
  const middle = Math.floor((of.length - 1) / 2);
  return [count(samples[middle]), bytes(sizes[0]), bytes(sizes[middle]), bytes(sizes.at(-1))];
}
