// The agent's own API, and its stream of new traces.

/** An answer that is none: `status` is HTTP's, 0 if the agent was not reached. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Fetches JSON from `/api/v1/<path>`. Throws an `ApiError` whose message can be shown. */
export async function get(path, signal) {
  let response;
  try {
    response = await fetch(`/api/v1/${path}`, { signal, headers: { Accept: 'application/json' }, cache: 'no-store' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('The agent cannot be reached. Is wirespan still running?', 0);
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(body?.error ?? unexplained(response.status), response.status);
  if (body === null) throw new ApiError('The agent answered with something that is not JSON.', response.status);
  return body;
}

function unexplained(status) {
  return status === 401 ? 'This view needs a token: open it with ?token=… as the agent printed it.' : `The agent answered with status ${status}.`;
}

/** Runs one request at a time: a new one aborts the one before, whose promise then never settles. */
export function latest() {
  let controller = null;
  return async (path) => {
    controller?.abort();
    const mine = new AbortController();
    controller = mine;
    try {
      return await get(path, mine.signal);
    } catch (error) {
      if (error.name === 'AbortError') return new Promise(() => {});
      throw error;
    }
  };
}

/** How long to wait before connecting again, milliseconds, by how often it failed. */
const RETRY = [500, 1000, 2000, 4000];

/**
 * New traces as they happen. `onTraces({traces, skipped})` gets what arrived; `onState(state, isBack)` one of `live`, when what was before may be asked for (`isBack` after a break, when
 * the agent may be another one), and `reconnecting`. A page that nobody sees does not follow: a browser opens no more than six connections to one server, in all its windows together.
 */
export class Live {
  constructor({ onTraces, onState }) {
    this.onTraces = onTraces;
    this.onState = onState;
    this.failures = 0;
    this.query = null;
    this.source = null;
    this.isWanted = false;
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) this.disconnect();
      else if (this.isWanted) this.connect();
    });
  }

  /** Follows the traces that match a query; nothing happens if it does so already. */
  follow(query) {
    if (this.query === query && this.source) return;
    this.query = query;
    this.isWanted = true;
    this.connect();
  }

  /** Stops following. */
  stop() {
    this.isWanted = false;
    this.disconnect();
  }

  disconnect() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  connect() {
    this.disconnect();
    if (document.hidden) return;
    const source = new EventSource(`/api/v1/live${this.query ? `?${this.query}` : ''}`);
    this.source = source;
    source.addEventListener('open', () => {
      const isBack = this.failures > 0;
      this.failures = 0;
      this.onState('live', isBack);
    });
    source.addEventListener('traces', (event) => {
      let data;
      try {
        data = JSON.parse(event.data);
      } catch {
        return;
      }
      this.onTraces({ traces: data.traces ?? [], skipped: data.skipped ?? 0 });
    });
    source.addEventListener('error', () => {
      // The browser's own retry gives up on a status, and waits longer than a developer who restarted the agent wants to.
      source.close();
      if (this.source !== source) return;
      const wait = RETRY[Math.min(this.failures, RETRY.length - 1)];
      this.failures += 1;
      this.onState('reconnecting', false);
      this.timer = setTimeout(() => this.connect(), wait);
    });
  }
}
