// The one way to the node: its HTTP API, on the address that this page came from.
const KEPT = 'apogee.credentials';
const stored = () => { try { return sessionStorage.getItem(KEPT); } catch { return null; } };

/** Who is signed in: in this tab, until it is closed. */
export const session = $state({ credentials: stored(), user: null, role: null, cluster: '', asksPassword: false, known: false, operations: [] });

export class ApiError extends Error {
  constructor(status, kind, detail) {
    super(detail);
    this.status = status;
    this.kind = kind;
  }
}

async function call(method, path, body, signal) {
  const headers = {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (session.credentials) headers.authorization = `Basic ${session.credentials}`;
  let response;
  try {
    // Without the browser's own credentials, a refusal does not open the browser's own dialog.
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: 'omit', signal });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'unreachable', 'The node does not answer.');
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) session.asksPassword = true;
  throw new ApiError(response.status, problem.kind ?? 'internal', problem.detail ?? response.statusText);
}

/** Runs an operation of the catalogue. */
export async function op(name, request = {}, signal) {
  return (await call('POST', `/api/v1/operations/${name}`, request, signal)).json();
}

export async function post(path, body) {
  return (await call('POST', path, body)).json();
}

export async function stream(path, signal) {
  return (await call('GET', path, undefined, signal)).body;
}

export async function whoAmI() {
  const [told, catalogue] = await Promise.all([op('session.get'), call('GET', '/api/v1/operations').then((answer) => answer.json())]);
  session.operations = catalogue.map((one) => one.name);
  Object.assign(session, { user: told.user, role: told.role, cluster: told.cluster, asksPassword: false, known: true });
}

/** Whether this node can do it: an older one may not. */
export const can = (name) => session.operations.includes(name);

export async function signIn(user, password) {
  const before = session.credentials;
  const raw = new TextEncoder().encode(`${user}:${password}`);
  session.credentials = btoa(String.fromCharCode(...raw));
  try {
    await whoAmI();
    try { sessionStorage.setItem(KEPT, session.credentials); } catch { /* private window */ }
  } catch (error) {
    session.credentials = before;
    throw error;
  }
}

export function signOut() {
  try { sessionStorage.removeItem(KEPT); } catch { /* private window */ }
  Object.assign(session, { credentials: null, user: null, role: null, asksPassword: true });
}
