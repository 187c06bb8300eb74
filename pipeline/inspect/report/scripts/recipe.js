// The recipe, a line for each key.
import { details, find, table, words } from "./dom.js";
import { measure } from "./numbers.js";

export function recipe(data) {
  const entries = Object.entries(data.recipe);
  const plain = entries.filter(([, value]) => !isTree(value));
  if (plain.length) find("recipe-keys").append(keys("Recipe", Object.fromEntries(plain)));
  for (const [name, value] of entries.filter(([, tree]) => isTree(tree))) {
    find("recipe-keys").append(details(name, () => keys(name, value), { class: "rule" }));
  }
}

function isTree(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** A table of dotted keys and their values. */
export function keys(caption, tree) {
  return table(caption, [["Key", "name code"], ["Value", "value"]], [...flat(tree)].map(([key, value]) => [key, shown(value)]));
}

function* flat(tree, before = "") {
  for (const [name, value] of Object.entries(tree)) {
    const key = before + name;
    if (isTree(value)) yield* flat(value, `${key}.`);
    else yield [key, value];
  }
}

function shown(value) {
  if (typeof value === "number") return measure(value);
  if (value === null || value === "") return "–";
  return words(Array.isArray(value) ? value.map((v) => (typeof v === "object" ? JSON.stringify(v) : v)).join(", ") || "–" : String(value));
}
