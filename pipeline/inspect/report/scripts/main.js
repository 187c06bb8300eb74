// Draws the report: tables and samples first, then charts.
import { find } from "./dom.js";
import { clusters } from "./clusters.js";
import { contents } from "./contents.js";
import { drawCharts } from "./charts.js";
import { funnel } from "./funnel.js";
import { overview } from "./overview.js";
import { recipe } from "./recipe.js";
import { rules } from "./rules.js";
import { samples } from "./samples.js";
import { shards } from "./shards.js";
import { shares } from "./shares.js";
import { spreads } from "./spreads.js";
import { steps } from "./steps.js";
import { theme } from "./theme.js";

const SECTIONS = { overview, funnel, rules, samples, spreads, shares, clusters, shards, steps, recipe };

const data = JSON.parse(find("data").textContent);
const contentOf = { ...data, overview: [data.title], rules: data.funnel.flatMap((row) => row.rules) };
theme();
for (const [id, draw] of Object.entries(SECTIONS)) {
  const section = find(id);
  section.hidden = !Object.keys(contentOf[id]).length;
  if (section.hidden) continue;
  draw(data);
}
contents(Object.keys(SECTIONS).map(find).filter((section) => !section.hidden));
performance.mark("usable");
drawCharts();
