// The page: which view is shown at which address, the bar above and the line below it, and the keys that work everywhere.

import { get } from './api.js';
import { flag } from './dom.js';
import * as keys from './keys.js';
import { Lines } from './lines.js';
import { toast } from './notice.js';
import { Operations } from './operations.js';
import { Services } from './services.js';
import { Status } from './status.js';
import { TraceView } from './trace.js';
import { Traces } from './traces.js';

const main = document.getElementById('main');

/** What views may do with the page around them. */
const app = { go, setLive, refreshed: () => status.poll(), suggest };

const views = { traces: new Traces(app), trace: new TraceView(app), services: new Services(app), operations: new Operations(app), logs: new Lines(app) };
const status = new Status(document.getElementById('status'));
let current = null;
/** Where the list of traces was left. */
let lastList = '/';

/** Goes to an address of this page. */
function go(address, { replace = false } = {}) {
  if (address === location.pathname + location.search) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', address);
  route();
}

function route() {
  const { pathname, search } = location;
  const params = new URLSearchParams(search);
  const trace = /^\/trace\/([0-9a-f]+)\/?$/i.exec(pathname);
  if (trace) show('trace', { id: trace[1].toLowerCase(), span: params.get('span')?.toLowerCase() ?? null });
  else if (/^\/services\/?$/.test(pathname)) show('services', { search });
  else if (/^\/operations\/?$/.test(pathname)) show('operations', { search });
  else if (/^\/logs\/?$/.test(pathname)) show('logs', { search });
  else {
    lastList = pathname + search;
    show('traces', { search });
  }
}

function show(name, params) {
  const view = views[name];
  if (view !== current) {
    current?.hide();
    main.replaceChildren(view.element);
    scrollTo(0, 0);
    document.body.dataset.view = name;
    for (const link of document.querySelectorAll('[data-nav]')) {
      const here = link.dataset.nav === name || (name === 'trace' && link.dataset.nav === 'traces');
      flag(link, 'aria-current', here, name === 'trace' ? 'true' : 'page');
    }
  }
  const isNew = view !== current;
  current = view;
  view.show(params, isNew);
}

/** What the bar says about the connection to the agent. */
function setLive(state) {
  const light = document.getElementById('live');
  light.dataset.state = state;
  light.querySelector('.live-text').textContent = { live: 'live', paused: 'paused', reconnecting: 'reconnecting …' }[state];
  document.body.classList.toggle('offline', state === 'reconnecting');
}

/** Names for a field, for its list of suggestions. */
async function suggest(field, prefix, service = '') {
  const params = new URLSearchParams({ field, prefix });
  if (service) params.set('service', service);
  const { values } = await get(`suggest?${params}`);
  return values ?? [];
}

const everywhere = {
  title: 'Everywhere',
  keys: [
    { keys: ['g t'], does: 'traces', run: () => go('/') },
    { keys: ['g s'], does: 'services', run: () => go('/services') },
    { keys: ['g o'], does: 'operations', run: () => go('/operations') },
    { keys: ['g l'], does: 'logs', run: () => go('/logs') },
    { keys: ['t'], does: 'light or dark', run: toggleTheme },
    { keys: ['?'], does: 'this help', run: openHelp },
  ],
};

function openHelp() {
  keys.help([current.keys, everywhere]);
}

function toggleTheme() {
  globalThis.wirespanTheme.toggle();
  const shown = globalThis.wirespanTheme.current();
  toast(shown === 'dark' ? 'Dark' : 'Light');
}

// Links of the page change the view without loading the page again; what opens a new tab is left to the browser.
document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href]');
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  // An SVG link knows no `pathname`.
  const to = new URL(link.getAttribute('href'), location.href);
  if (to.origin !== location.origin || link.hasAttribute('download') || to.pathname.startsWith('/api/') || to.hash) return;
  event.preventDefault();
  if (link.dataset.back !== undefined) go(lastList);
  else go(to.pathname + to.search);
});
addEventListener('popstate', route);
document.getElementById('theme').addEventListener('click', toggleTheme);
document.getElementById('help').addEventListener('click', openHelp);
document.getElementById('live').addEventListener('click', () => {
  if (current === views.traces) current.togglePause();
});
keys.listen(() => [current.keys, everywhere]);
status.start();
route();
