// What is searched for: the same words in the page's address, in the API and in the fields of the form.

/** The filters that take one value, by their name in the address. */
const TEXT = ['service', 'operation', 'trace'];
const NUMBERS = ['min_ms', 'max_ms', 'from', 'to'];

/** Nothing searched for. */
export function none() {
  return { service: '', operation: '', trace: '', min_ms: null, max_ms: null, from: null, to: null, errors: false, attrs: [], sort: 'recent' };
}

/** Filters from the query part of an address. What makes no sense there is left out. */
export function parse(search) {
  const params = new URLSearchParams(search);
  const filters = none();
  for (const name of TEXT) filters[name] = params.get(name) ?? '';
  for (const name of NUMBERS) {
    const value = params.get(name);
    if (value !== null && value !== '' && Number(value) >= 0) filters[name] = Number(value);
  }
  filters.errors = params.get('status') === 'error';
  filters.attrs = [...new Set(params.getAll('attr').filter(Boolean))];
  if (params.get('sort') === 'slow') filters.sort = 'slow';
  return filters;
}

/** The query part of an address, without its question mark; empty if nothing is searched for. */
export function query(filters, { sort = true } = {}) {
  const params = new URLSearchParams();
  for (const name of TEXT) if (filters[name]) params.set(name, filters[name]);
  for (const name of NUMBERS) if (filters[name] !== null) params.set(name, String(round(filters[name])));
  if (filters.errors) params.set('status', 'error');
  for (const attr of filters.attrs) params.append('attr', attr);
  if (sort && filters.sort === 'slow') params.set('sort', 'slow');
  return params.toString();
}

/** Times and durations need no more than a nanosecond. */
function round(ms) {
  return Math.round(ms * 1e6) / 1e6;
}

/** The page's address for these filters. */
export function address(filters) {
  const text = query(filters);
  return text ? `/search?${text}` : '/';
}

/** Whether anything but the order is asked for. */
export function isEmpty(filters) {
  return query(filters, { sort: false }) === '';
}

/** Filters with some of them changed. */
export function change(filters, changes) {
  return { ...filters, ...changes };
}

/** The address of a trace, and of a span in it; identifiers that are none lead nowhere. */
export function traceAddress(trace, span) {
  const isHex = (id) => /^[0-9a-f]{1,32}$/i.test(id ?? '');
  if (!isHex(trace)) return '/';
  return isHex(span) ? `/trace/${trace}?span=${span}` : `/trace/${trace}`;
}

/** The attribute filter that a person typed: `key=value`, or `key` alone; null if it is none. */
export function parseAttribute(text) {
  const trimmed = text.trim();
  return trimmed === '' || trimmed.startsWith('=') ? null : trimmed;
}
