// What the walks share: the node's API, a browser that reports what it must not do, and checks.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const SHOTS = process.env.SHOTS ?? 'shots';
mkdirSync(SHOTS, { recursive: true });
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
/** For one step: everything here is on loopback. */
export const PATIENCE_MS = 20_000;

export function ensure(condition, text) {
  if (!condition) throw new Error(text);
}

/** The node's HTTP API, as any client uses it. */
export class Api {
  constructor(base, user, password) {
    this.base = base;
    this.headers = { 'content-type': 'application/json' };
    if (user) this.headers.authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  }

  async post(path, body) {
    const response = await fetch(this.base + path, { method: 'POST', headers: this.headers, body: JSON.stringify(body) });
    const answer = await response.json();
    ensure(response.ok, `${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  }

  op(name, request = {}) { return this.post(`/api/v1/operations/${name}`, request); }
  topic(name, kind = '', queues = 4) { return this.op('topic.put', { config: { name, write_queues: queues, read_queues: queues, attributes: kind ? { 'message.type': kind } : {} } }); }
  send(topic, message) { return this.post(`/api/v1/topics/${encodeURIComponent(topic)}/messages`, message).then((answer) => answer.messages); }
  receive(group, topic, request = {}) { return this.post(`/api/v1/groups/${group}/receive`, { topic, max_messages: 16, wait_ms: 10_000, ...request }).then((answer) => answer.messages); }
  ack(group, messages) { return this.post(`/api/v1/groups/${group}/ack`, { receipts: messages.map((one) => one.receipt) }); }
}

/** Until `look` answers something true. */
export async function until(what, look) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    ensure(Date.now() < end, `${what} did not come to be in ${PATIENCE_MS} ms`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
}

/** A page of a fresh browser profile. `refusals`: answers of these kinds are what the walk is about. */
export async function open(browser, base, { width = 1400, height = 900, theme = 'light', language = 'en-GB', refusals = [] } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, locale: language, acceptDownloads: true });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type())) return;
    const expected = refusals.some((status) => message.text().includes(`status of ${status}`));
    if (!expected) wrong.push(`console ${message.type()}: ${message.text()} ${message.location().url}`);
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !url.startsWith('blob:') && !url.startsWith('data:')) wrong.push(`request to elsewhere: ${url}`);
  });
  await page.goto(`${base}/console/`);
  const go = async (hash) => { await page.evaluate((to) => { location.hash = to; }, hash); await settled(page); };
  const done = async () => { await context.close(); ensure(wrong.length === 0, wrong.join('\n')); };
  return { page, go, done, context };
}

/** Nothing is asked for any more but what is asked for again and again, and something is shown. */
export async function settled(page) {
  await page.waitForSelector('main h1');
  await page.waitForFunction(() => !document.querySelector('main [aria-busy="true"]'));
  await page.evaluate(() => document.fonts.ready);
  await page.waitForTimeout(350);
}

export async function shot(page, name) {
  await page.screenshot({ path: join(SHOTS, `${name}.png`) });
}

/** Labels, contrast, roles: by the rules of WCAG 2.1 AA, as far as a program can tell. */
export async function accessible(page, where) {
  await page.evaluate(readFileSync(AXE, 'utf8'));
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] });
    return result.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 140)} ${node.any.map((any) => any.message).join(' ').slice(0, 160)}`).join(' | ')}`);
  });
  ensure(found.length === 0, `${where}: ${found.join('\n')}`);
}
