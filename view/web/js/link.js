// How a call found the request that it was made for, in words (docs/links.md).

/** What a link to the parent rests on that is not exact. */
const EVIDENCE = new Map([
  ['lone_request', 'it was the only request that its process served'],
  ['waiting_thread', 'its thread waited for the answer while it served that request'],
  ['same_thread', 'its thread read that request and answered it; other threads of the process may have handed it work'],
  ['virtual_thread', 'its virtual thread had read that request, and no other, and answered it itself'],
  ['pool_thread', 'its thread had read that request last and answered it next; threads there that read requests answer no others'],
  ['answering_thread', 'its thread answered that request next, and was never seen to call when it had nothing to answer'],
  ['same_greenlet', 'the greenlet that made it read that request, and answers it; others could have handed it work'],
  ['one_shot', 'its thread was made for that request, and ended soon'],
  ['first_answer', 'the first answer of whoever made it is to that request, which had been read before'],
  ['child_unit', 'whoever made it was made by the one that answers that request, and ended'],
  ['spawned_goroutine', 'the goroutine that made it was made by one that served that request, and ended before its answer, as all that its place in the program makes'],
  ['resolved', 'whoever made it gave its result to one that waited for it, and answers that request'],
  ['after_answer', 'whoever made it had answered that request, and nothing else until it ended'],
  ['async_id', 'the numbers of its loop’s work lead from it to work that was about that request'],
  ['turn', 'its loop’s work in which it was made was about that request, which was answered with what it got'],
  ['answer', 'that request alone was answered with what it got'],
  ['task_result', 'its thread told the result of that task'],
]);

/** Why a call has no parent. */
const MISSING = new Map([
  ['no_request', 'whoever made it served no request, as far as is seen'],
  ['several_requests', 'whoever made it had several requests in flight, or is known for that'],
  ['hands_on', 'requests of its process are answered by other threads than read them'],
  ['unconfirmed', 'something contradicted the request it might be for, or nothing spoke for it'],
  ['earlier', 'it was begun before the request was read'],
  ['other_trace', 'it names another trace itself'],
  ['no_end', 'its thread may be a request’s helper or a pool’s, and did not end in time'],
  ['disagreement', 'two requests claimed it'],
  ['lost_records', 'records were missing when it was made'],
  ['unseen', 'who made it was not seen'],
]);

/** What the link to a span's parent was concluded from; null if it is exact, or there is none. */
export function inferred(span) {
  const evidence = span.attributes?.['wirespan.link.evidence'];
  if (evidence === undefined || !span.parent_span_id) return null;
  return `Its parent is concluded, not proven: ${EVIDENCE.get(evidence) ?? String(evidence)}.`;
}

/** Why a call of a process that serves requests hangs below none of them; null if it is no such call. */
export function detached(span) {
  const missing = span.attributes?.['wirespan.link.missing'];
  if (missing === undefined || span.parent_span_id) return null;
  return `A call of a process that serves requests, and it is not known of which: ${MISSING.get(missing) ?? String(missing)}.`;
}

/** What speaks for the request that a call without a parent has a link to; null if the link is another. */
export function suggested(link) {
  const evidence = link.attributes?.['wirespan.link.evidence'];
  if (evidence === undefined) return null;
  return `It may well have been made for this request: ${EVIDENCE.get(evidence) ?? String(evidence)}. That was not seen often enough in its process to hang it there.`;
}

/** What is to be said of the linking of a process as `/api/v1/linking` has it: calls, how many are linked, and what is off. */
export function state(process) {
  const sum = (counts) => Object.values(counts ?? {}).reduce((all, count) => all + count, 0);
  const linked = process.exact + sum(process.inferred);
  const off = (process.rules ?? []).filter((rule) => rule.off);
  return { linked, inferred: sum(process.inferred), calls: linked + sum(process.missing), off };
}
