// A colour for each service, the same on every view. Names stand beside colours everywhere: nothing is told by colour alone.

/** Colours in the style sheet; those of the first half are far apart and given out first. */
const HUES = 12;
const HALF = HUES / 2;
const MOST = 5000;
const given = new Map();
let used = new Array(HUES).fill(0);

/** The class (`c0` … `c11`) that colours a service: chosen by its name, unless that colour is taken while another is free. */
export function colourClass(service) {
  if (!given.has(service)) {
    if (given.size >= MOST) forget();
    const fewest = Math.min(...used);
    const first = used.slice(0, HALF).some((times) => times === fewest) ? 0 : HALF;
    let hue = hash(service) % HALF;
    while (used[first + hue] > fewest) hue = (hue + 1) % HALF;
    used[first + hue] += 1;
    given.set(service, first + hue);
  }
  return `c${given.get(service)}`;
}

/** A host with countless names must not fill memory. */
function forget() {
  given.clear();
  used = new Array(HUES).fill(0);
}

/** FNV-1a, 32 bits. */
function hash(text) {
  let value = 0x811c9dc5;
  for (let i = 0; i < Math.min(text.length, 200); i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
