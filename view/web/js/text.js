// How numbers, times and foreign text are written.

/** Some significant digits, without zeros that say nothing. */
function digits(value, most = 3) {
  if (value >= 100) return String(Math.round(value));
  return value.toPrecision(most).replace(/\.?0+$/, '');
}

/** A duration in nanoseconds, for people: `474 µs`, `23.6 ms`, `1.2 s`, `2 min 5 s`. */
export function duration(ns) {
  if (!Number.isFinite(ns)) return '–';
  if (ns < 0) return `−${duration(-ns)}`;
  if (ns === 0) return '0 s';
  if (ns < 999.5) return `${digits(ns)} ns`;
  if (ns < 999.5e3) return `${digits(ns / 1e3)} µs`;
  if (ns < 999.5e6) return `${digits(ns / 1e6)} ms`;
  if (ns < 59.95e9) return `${digits(ns / 1e9)} s`;
  const seconds = Math.round(ns / 1e9);
  if (seconds < 3600) return parts(Math.floor(seconds / 60), 'min', seconds % 60, 's');
  const minutes = Math.round(seconds / 60);
  return parts(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
}

function parts(large, unit, small, smaller) {
  return small ? `${large} ${unit} ${small} ${smaller}` : `${large} ${unit}`;
}

const UNITS = new Map([['ns', 1e-6], ['us', 1e-3], ['µs', 1e-3], ['μs', 1e-3], ['ms', 1], ['s', 1e3], ['min', 60e3], ['m', 60e3], ['h', 3600e3], ['', 1]]);

/** What a person typed as a duration, in milliseconds (`20`, `1.5s`, `300 µs`); null if it is none. */
export function parseDuration(text) {
  const match = /^\s*(\d+(?:[.,]\d*)?|[.,]\d+)\s*([a-zµμ]*)\s*$/i.exec(text);
  const unit = match && UNITS.get(match[2].toLowerCase());
  return unit ? Number(match[1].replace(',', '.')) * unit : null;
}

/** Milliseconds as a person would type them. */
export function typedDuration(ms) {
  if (ms === null || ms === undefined) return '';
  return duration(ms * 1e6).replace(' ', '');
}

const pad = (number, width = 2) => String(number).padStart(width, '0');

/** Local time of day with milliseconds; with the date before it when that is not today. `ms` is Unix time. */
export function time(ms, now = Date.now()) {
  const at = new Date(ms);
  const clock = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
  return at.toDateString() === new Date(now).toDateString() ? clock : `${day(at)} ${clock}`;
}

/** Date, local time with milliseconds, and how far that is from UTC. */
export function fullTime(ms) {
  const at = new Date(ms);
  const offset = -at.getTimezoneOffset();
  const zone = `${offset < 0 ? '−' : '+'}${pad(Math.floor(Math.abs(offset) / 60))}:${pad(Math.abs(offset) % 60)}`;
  const clock = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
  return `${day(at)} ${clock} ${zone}`;
}

/** Local time of day to the second. */
export function shortTime(ms) {
  const at = new Date(ms);
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

function day(at) {
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
}

/** How long ago, roughly. */
export function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1e3));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return seconds < 86400 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

/** A whole number with its thousands set apart. */
export function count(number) {
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** A number and its noun: `1 span`, `8 spans`. */
export function counted(number, noun, plural = `${noun}s`) {
  return `${count(number)} ${number === 1 ? noun : plural}`;
}

/** Calls per second, or per minute where that would be less than one in ten seconds. */
export function rate(perSecond) {
  if (!Number.isFinite(perSecond) || perSecond <= 0) return '0/s';
  return perSecond < 0.1 ? `${digits(perSecond * 60, 2)}/min` : `${digits(perSecond, 2)}/s`;
}

/** A part of a whole. */
export function percent(part, whole) {
  if (!whole || !part) return '0 %';
  const share = (100 * part) / whole;
  return share < 0.1 ? '< 0.1 %' : `${digits(share)} %`;
}

/** A number of bytes in binary units. */
export function bytes(number) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${digits(number) || 0} ${units[unit]}`;
}

// Controls (C0, DEL, C1), and what turns, joins or hides the characters around it.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** Text as it is shown: characters that nobody would see, or that reorder others, stand as `⟨U+202E⟩`. */
export function visible(text) {
  return String(text).replace(UNSEEN, (c) => `⟨U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`);
}

/** At most `length` characters, for titles and labels. */
export function clip(text, length) {
  const shown = visible(text);
  return shown.length > length ? `${shown.slice(0, length - 1)}…` : shown;
}

/** The value of an attribute as text; text itself is not quoted. */
export function attribute(value) {
  return typeof value === 'string' ? value : JSON.stringify(value) ?? '';
}
