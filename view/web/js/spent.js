// Where a span's own time went, as the clocks of its thread say.

import * as text from './text.js';

const PARTS = [
  ['cpu', 'on CPU'],
  ['runqueue', 'waiting for a CPU'],
  ['blocked', 'blocked'],
];

/** The parts of a span's own time, in nanoseconds, and whether they are all of it; null where nothing is known. */
export function spent(span) {
  const attributes = span.attributes ?? {};
  const coverage = attributes['wirespan.time.coverage'];
  if (coverage !== 'exact' && coverage !== 'lower_bound') return null;
  const nanos = (part) => {
    const seconds = attributes[`wirespan.time.${part}`];
    return Number.isFinite(seconds) && seconds > 0 ? seconds * 1e9 : 0;
  };
  const parts = PARTS.map(([name, words]) => ({ name, words, nanos: nanos(name) })).filter((part) => part.nanos > 0);
  return { parts, exact: coverage === 'exact', total: parts.reduce((sum, part) => sum + part.nanos, 0) };
}

/** It in a sentence: "61 ms: 38 ms on CPU, 14 ms waiting for a CPU, 9 ms blocked". */
export function sentence({ parts, exact, total }) {
  const words = parts.map((part) => `${text.duration(part.nanos)} ${part.words}`).join(', ');
  if (!exact) return words ? `At least ${words}; of the rest nothing is known, for its thread works for others too` : 'Nothing is known';
  return parts.length > 1 ? `${text.duration(total)}: ${words}` : words || 'No time at all';
}
