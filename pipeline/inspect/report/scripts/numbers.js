// Formats of numbers.

const WHOLE = new Intl.NumberFormat("en-GB");
const THREE = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 3 });
const FOUR = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 4 });
const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB"];

export const known = (n) => typeof n === "number" && n >= 0;
export const count = (n) => (known(n) ? WHOLE.format(n) : "–");

/** A measure or threshold: four significant digits, or an exact integer. */
export function measure(x) {
  if (typeof x !== "number") return "";
  return (Number.isInteger(x) ? WHOLE.format(x) : FOUR.format(x)).replace("-", "−");
}

/** A percentage, formatted as in schemas/display.py: only all is 100 %, and only none is 0 %. */
export function share(part, whole) {
  if (!whole) return "";
  const percent = (100 * part) / whole;
  if (percent > 0 && percent < 0.1) return "< 0.1 %";
  if (percent > 99 && part < whole) return `${Math.min(Math.floor(10 * percent) / 10, 99.9).toFixed(1)} %`;
  return `${percent.toFixed(percent < 9.95 && percent > 0 ? 1 : 0)} %`;
}

export function bytes(n) {
  const power = n < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(n) / 3));
  return `${THREE.format(n / 1000 ** power)} ${UNITS[power]}`;
}

export function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const [whole, minutes] = [Math.round(seconds), Math.round(seconds / 60)];
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function score(x) {
  return typeof x === "number" ? x.toFixed(3).replace("-", "−") : "";
}

/** A count with its noun: plural(1, "sample") is "1 sample". */
export function plural(n, name) {
  return `${count(n)} ${name}${n === 1 ? "" : "s"}`;
}
