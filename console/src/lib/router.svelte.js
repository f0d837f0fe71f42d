// The address behind `#`: `#/topics/orders?tab=messages`.
function read() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  return { path: path.split('/').filter(Boolean).map(decodeURIComponent), query: Object.fromEntries(new URLSearchParams(query ?? '')) };
}

export const route = $state(read());
addEventListener('hashchange', () => {
  const { path, query } = read();
  const moved = path.join('/') !== route.path.join('/');
  Object.assign(route, { path, query });
  if (moved) {
    scrollTo(0, 0);
    document.getElementById('main')?.focus({ preventScroll: true });
  }
});

export function to(path, query = {}) {
  const set = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '' && value !== false);
  const text = new URLSearchParams(set.map(([name, value]) => [name, String(value)])).toString();
  return `#/${path.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

export function go(path, query) { location.hash = to(path, query); }

/** Changes the query of the page that is shown, without a step in the browser's history. */
export function setQuery(changes) {
  history.replaceState(null, '', to(route.path, { ...route.query, ...changes }));
  Object.assign(route, read());
}
