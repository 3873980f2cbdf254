// Ticks of a time axis, and the part of a trace that is looked at. Pure.

/** Round steps between `from` and `until`, at most `most`: `{step, ticks}`, in the unit of the arguments. */
export function ticks(from, until, most) {
  const span = until - from;
  if (!(span > 0) || most < 1) return { step: 0, ticks: [] };
  const rough = span / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999);
  const found = [];
  for (let n = Math.ceil(from / step - 1e-9); n * step <= until + step * 1e-9; n += 1) found.push(n * step || 0);
  return { step, ticks: found };
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400].map((s) => s * 1000);

/** Moments at which a clock shows round numbers, of local time; `from` and `until` are Unix milliseconds. */
export function clockTicks(from, until, most) {
  const step = STEPS.find((candidate) => (until - from) / candidate <= most) ?? 86400e3 * Math.ceil((until - from) / 86400e3 / most);
  if (!(until > from)) return [];
  const offset = new Date(from).getTimezoneOffset() * 60e3;
  const found = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at <= until; at += step) found.push(at);
  return found;
}

/** A window on `[0, total]`, never smaller than a ten-thousandth of it or a microsecond. */
export function windowOf(from, until, total) {
  const least = Math.min(total, Math.max(total / 1e4, 1e3));
  let [a, b] = from <= until ? [from, until] : [until, from];
  if (b - a < least) [a, b] = [(a + b - least) / 2, (a + b + least) / 2];
  if (b - a >= total) return { from: 0, until: total };
  if (a < 0) [a, b] = [0, b - a];
  if (b > total) [a, b] = [a - (b - total), total];
  return { from: Math.max(0, a), until: b };
}

/** The window made smaller (`factor` below 1) or larger around a moment. */
export function zoom(window, factor, around, total) {
  const centre = Math.min(Math.max(around, window.from), window.until);
  return windowOf(centre - (centre - window.from) * factor, centre + (window.until - centre) * factor, total);
}

/** The window moved by a part of its own width. */
export function pan(window, part, total) {
  const by = (window.until - window.from) * part;
  const shift = Math.min(Math.max(by, -window.from), total - window.until);
  return { from: window.from + shift, until: window.until + shift };
}
