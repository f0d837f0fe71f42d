// What people do in the console, step by step.
import { readFileSync } from 'node:fs';
import rocketmq from 'rocketmq-client-nodejs';
import { Api, ensure, open, settled, until } from './kit.mjs';

const OPEN = process.env.HTTP;
const GUARDED = process.env.HTTP_GUARDED;
const FIRST_LOAD_BYTES_MAX = 300 * 1000;
const FIRST_PAINT_MS_MAX = 1000;
const MANY_TOPICS = 10_000;
const LIST_MS_MAX = 1500;

const api = new Api(OPEN);
const admin = new Api(GUARDED, 'root', 'root-secret');
const field = (page, name) => page.locator(`dialog[open] [name="${name}"]`);

/** Until it is a dead letter: an unchanged client fails on it, again and again. */
async function poison(group, topic, body) {
  const [sent] = await api.send(topic, { body, keys: [body] });
  let attempts = 0;
  const consumer = new rocketmq.PushConsumer({
    endpoints: process.env.ENDPOINT, namespace: '', requestTimeout: 5_000, longPollingTimeout: 5_000, consumerGroup: group, subscriptions: new Map([[topic, '*']]),
    messageListener: { async consume() { attempts += 1; return rocketmq.ConsumeResult.FAILURE; } },
  });
  await consumer.startup();
  await until(`the dead letter of ${body}`, async () => (await api.op('group.page', { search: group, exact: true })).rows[0].dead_letters > 0);
  ensure(attempts >= 2, `${attempts} attempts`);
  // It waits for its long poll; nobody needs it any more.
  consumer.shutdown().catch(() => {});
  return sent.message_id;
}


const steps = (page) => page.locator('[data-testid="time-line"] [data-step]').evaluateAll((all) => all.map((one) => one.dataset.step));

async function firstVisit(browser) {
  const { page, done } = await open(browser, OPEN);
  await settled(page);
  const facts = await page.evaluate(() => {
    const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource').filter((one) => one.name.includes('/console/'))];
    return { bytes: all.reduce((sum, one) => sum + one.transferSize, 0), files: all.length, paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime };
  });
  await done();
  return facts;
}

export const cases = [
  ['the first load is small and quick', async (browser) => {
    // Each is a first visit, with nothing kept; the first of them also waits for the browser itself to start.
    const visits = [];
    for (let n = 0; n < 5; n++) visits.push(await firstVisit(browser));
    const paints = visits.map((visit) => Math.round(visit.paint)).sort((a, b) => a - b);
    const [{ bytes, files }] = visits;
    console.log(`NOTE first load: ${files} files, ${bytes} bytes; first contentful paint after ${paints.join(', ')} ms`);
    ensure(bytes < FIRST_LOAD_BYTES_MAX, `${bytes} bytes`);
    ensure(paints[2] < FIRST_PAINT_MS_MAX, `first paints after ${paints.join(', ')} ms`);
    const again = await fetch(`${OPEN}/console/`);
    ensure(again.headers.get('content-security-policy').includes("default-src 'none'"), 'no policy');
    ensure((await fetch(`${OPEN}/console/`, { headers: { 'if-none-match': again.headers.get('etag') } })).status === 304, 'it is not cached');
  }],

  ['a topic is made, sent to and browsed', async (browser) => {
    const { page, go, done } = await open(browser, OPEN);
    await go('#/topics');
    await page.keyboard.press('n');
    await field(page, 'name').fill('walk-orders');
    await field(page, 'queues').fill('4');
    await page.locator('dialog[open]').getByRole('button', { name: 'Make' }).click();
    await page.waitForSelector('h1:text-is("walk-orders")');
    await page.getByRole('link', { name: 'Send a message' }).click();
    await page.locator('[name="body"]').fill('{"order": 1, "city": "Łódź"}');
    await page.locator('[name="tag"]').fill('eu');
    await page.locator('[name="keys"]').fill('order-1');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    const id = await page.locator('[data-testid="sent"] a').first().innerText();
    await page.getByRole('link', { name: 'Messages', exact: true }).last().click();
    await page.getByText('Łódź').first().click();
    ensure((await page.locator('[data-testid="body"]').innerText()).includes('"city": "Łódź"'), 'the body is not shown as JSON');
    for (const [by, value] of [['key', 'order-1'], ['id', id]]) {
      await go(`#/topics/walk-orders?tab=messages&by=${by}&value=${value}`);
      ensure(await page.locator('[data-testid="messages"] [data-row]').count() === 1, `not found by ${by}`);
    }
    await page.locator('[data-testid="messages"] a[data-row]').click();
    await page.waitForSelector(`h1:text-is("${id}")`);
    await until('the step `stored`', async () => (await steps(page)).includes('stored'));
    await done();
  }],

  ['a topic is changed and deleted', async (browser) => {
    await api.topic('walk-short', 'NORMAL', 2);
    const { page, go, done } = await open(browser, OPEN);
    await go('#/topics/walk-short');
    await page.getByRole('button', { name: 'Edit' }).click();
    await field(page, 'queues').fill('6');
    await field(page, 'reads').fill('6');
    await page.locator('dialog[open]').getByRole('button', { name: 'Save' }).click();
    await until('six queues', async () => (await api.op('topic.get', { topic: 'walk-short' })).queues.length === 6);
    await page.getByRole('button', { name: 'Delete' }).click();
    const sure = page.locator('dialog[open]').getByRole('button', { name: 'Delete' });
    ensure(await sure.isDisabled(), 'it is deleted without its name');
    await page.locator('dialog[open] input').fill('walk-short');
    await sure.click();
    await page.waitForSelector('h1:text-is("Topics")');
    const left = await api.op('topic.page', { search: 'walk-short', exact: true });
    ensure(left.total === 0, 'it is still there');
    await done();
  }],

  ['the time line shows what became of a message', async (browser) => {
    await api.topic('walk-life');
    await api.op('group.put', { config: { name: 'walk-readers' } });
    const [sent] = await api.send('walk-life', { body: 'read me' });
    const received = await api.receive('walk-readers', 'walk-life');
    await api.ack('walk-readers', received);
    const { page, go, done } = await open(browser, OPEN);
    await go(`#/messages/walk-life/${sent.message_id}`);
    await until('the steps of a message that was consumed', async () => {
      const all = await steps(page);
      return ['stored', 'delivered', 'acked'].every((step) => all.includes(step));
    });
    ensure((await page.locator('[data-step="acked"]').innerText()).includes('walk-readers'), 'the group is not named');
    return done();
  }],

  ['retries end among the dead letters, and are sent again from there', async (browser) => {
    await api.topic('walk-poison', '', 1);
    await api.op('group.put', { config: { name: 'walk-failing', retry_max_times: 1, retry_policy: { type: 'customized', next_ms: [50] } } });
    const id = await poison('walk-failing', 'walk-poison', 'bad-1');
    const { page, go, done } = await open(browser, OPEN);
    await go(`#/messages/walk-poison/${id}`);
    await until('the steps of a message that failed', async () => {
      const all = await steps(page);
      return all.filter((step) => step === 'delivered').length >= 2 && all.includes('dead_lettered');
    });
    await go('#/dead-letters');
    await page.getByRole('link', { name: 'walk-failing' }).click();
    await page.waitForSelector('[data-testid="messages"] tbody tr');
    const before = (await api.op('topic.page', { search: 'walk-poison', exact: true })).rows[0].messages;
    await page.getByRole('checkbox', { name: 'Choose' }).first().check();
    await page.getByRole('button', { name: 'Send 1 again' }).click();
    await page.getByTestId('progress').getByText('1 sent again').waitFor();
    await page.getByRole('button', { name: 'Done' }).click();
    const count = async () => (await api.op('topic.page', { search: 'walk-poison', exact: true })).rows[0].messages;
    await until('the message again in its topic', async () => (await count()) === before + 1);
    await page.getByRole('button', { name: 'Send all again' }).click();
    await page.getByTestId('progress').getByText('sent again').waitFor();
    await page.getByRole('button', { name: 'Done' }).click();
    ensure((await count()) >= before + 2, 'not all were sent again');
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export' }).click()]);
    const lines = readFileSync(await file.path(), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
    ensure(lines.length >= 1 && lines[0].body === 'bad-1', `the file has ${lines.length} lines`);
    await done();
  }],

  ['a group is made, reset after a preview, skipped and paused', async (browser) => {
    await api.topic('walk-reset', '', 2);
    for (let i = 0; i < 6; i += 1) await api.send('walk-reset', { body: `r${i}` });
    const { page, go, done } = await open(browser, OPEN);
    await go('#/groups?new=1');
    await field(page, 'name').fill('walk-billing');
    await page.locator('dialog[open]').getByRole('button', { name: 'Make' }).click();
    await page.waitForSelector('h1:text-is("walk-billing")');
    let read = [];
    while (read.length < 6) {
      const more = await api.receive('walk-billing', 'walk-reset');
      await api.ack('walk-billing', more);
      read = [...read, ...more];
    }
    const lag = () => page.getByTestId('lag').innerText();
    await until('no lag', async () => (await lag()) === '0');
    await page.getByRole('button', { name: 'Reset…' }).click();
    await field(page, 'topic').fill('walk-reset');
    await field(page, 'to').selectOption('first');
    await page.getByRole('button', { name: 'Look what it would do' }).click();
    await page.getByTestId('preview').getByText('6 messages would be delivered again, 0 would never be delivered.').waitFor();
    await page.locator('dialog[open]').getByRole('button', { name: 'Reset', exact: true }).click();
    await until('a lag of six', async () => (await lag()) === '6');
    await page.getByRole('button', { name: 'Skip all' }).click();
    await page.locator('dialog[open]').getByRole('button', { name: 'Skip' }).click();
    await until('no lag', async () => (await lag()) === '0');
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByTestId('state').getByText('paused').waitFor();
    const refused = await fetch(`${OPEN}/api/v1/groups/walk-billing/receive`, { method: 'POST', headers: api.headers, body: JSON.stringify({ topic: 'walk-reset' }) });
    ensure(refused.status === 403, `a paused group is answered ${refused.status}`);
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByTestId('state').getByText('paused').waitFor({ state: 'detached' });
    await done();
  }],

  ['a viewer looks at everything and is refused a change', async (browser) => {
    const { page, go, done } = await open(browser, GUARDED, { refusals: [401, 403] });
    await page.locator('[name="user"]').fill('root');
    await page.locator('[name="password"]').fill('wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByTestId('problem').getByText('user or password is wrong').waitFor();
    await page.locator('[name="password"]').fill('root-secret');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.waitForSelector('h1:text-is("Overview")');
    await go('#/users');
    await page.keyboard.press('n');
    await field(page, 'user').fill('watcher');
    await field(page, 'password').fill('watcher-secret');
    await field(page, 'role').selectOption('viewer');
    await page.locator('dialog[open]').getByRole('button', { name: 'Make' }).click();
    await page.getByTestId('user').getByText('watcher').waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.locator('[name="user"]').fill('watcher');
    await page.locator('[name="password"]').fill('watcher-secret');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByTestId('who').getByText('viewer: read only').waitFor();
    for (const hash of ['#/', '#/topics', '#/groups', '#/clients', '#/users', '#/quotas', '#/config', '#/timers', '#/transactions', '#/dead-letters', '#/health', '#/events']) {
      await go(hash);
      ensure(await page.getByTestId('problem').count() === 0, `${hash}: ${await page.locator('main').innerText()}`);
    }
    await go('#/topics');
    await page.keyboard.press('n');
    await field(page, 'name').fill('forbidden');
    await page.locator('dialog[open]').getByRole('button', { name: 'Make' }).click();
    const said = await page.locator('dialog[open]').getByTestId('problem').innerText();
    ensure(said.includes('Not allowed') && said.includes('watcher') && said.includes('may look but not change'), said);
    const left = await admin.op('topic.page', { search: 'forbidden', exact: true });
    ensure(left.total === 0, 'it was made');
    await done();
  }],

  ['settings, quotas and policies are changed', async (browser) => {
    const { page, go, done } = await open(browser, OPEN);
    await go('#/config?search=auto_create_topics');
    await page.getByRole('button', { name: 'Edit broker.auto_create_topics' }).click();
    await field(page, 'value').fill('maybe');
    await page.locator('dialog[open]').getByRole('button', { name: 'Save' }).click();
    await page.locator('dialog[open]').getByTestId('problem').waitFor();
    await field(page, 'value').fill('false');
    await page.locator('dialog[open]').getByRole('button', { name: 'Save' }).click();
    await until('the change', async () => (await api.op('config.get', { contains: 'broker.auto_create_topics' }))[0].value === false);
    await page.getByRole('button', { name: 'Edit broker.auto_create_topics' }).click();
    await page.locator('dialog[open]').getByRole('button', { name: 'As configured: true' }).click();
    await until('the change back', async () => (await api.op('config.get', { contains: 'broker.auto_create_topics' }))[0].value === true);
    await go('#/quotas');
    await page.keyboard.press('n');
    await field(page, 'name').fill('walk-orders');
    await field(page, 'send_messages_per_s').fill('5000');
    await page.locator('dialog[open]').getByRole('button', { name: 'Save' }).click();
    await page.getByTestId('quotas').getByText('5,000').waitFor();
    await done();
  }],

  ['an answer may come after its page was left', async (browser) => {
    const { page, go, done } = await open(browser, OPEN);
    let leave;
    const left = new Promise((resolve) => { leave = resolve; });
    await page.route('**/operations/config.put', async (asked) => {
      const response = await asked.fetch();
      await left;
      await asked.fulfill({ response });
    });
    await go('#/config?search=auto_create_groups');
    await page.getByRole('button', { name: 'Edit broker.auto_create_groups' }).click();
    await field(page, 'value').fill('false');
    await page.locator('dialog[open]').getByRole('button', { name: 'Save' }).click();
    await go('#/quotas?search=another');
    leave();
    await page.getByText('broker.auto_create_groups changed').waitFor();
    await api.op('config.put', { settings: { 'broker.auto_create_groups': null } });
    await done();
  }],

  ['timed messages and transactions are listed, a timer is recalled', async (browser) => {
    await api.topic('walk-later', 'DELAY', 2);
    await api.send('walk-later', { body: 'later', delay_ms: 3_600_000 });
    const { page, go, done } = await open(browser, OPEN);
    await go('#/timers?topic=walk-later');
    await page.getByTestId('timers').getByRole('button', { name: 'Recall' }).click();
    await page.locator('dialog[open]').getByRole('button', { name: 'Recall' }).click();
    await page.getByTestId('timers').getByText('Nothing waits').waitFor();
    await go('#/transactions');
    await page.getByTestId('transactions').getByText('No transaction is undecided').waitFor();
    await done();
  }],

  ['events come as they happen', async (browser) => {
    const { page, go, done } = await open(browser, OPEN);
    await go('#/events');
    await page.getByTestId('live').waitFor();
    await api.topic('walk-event');
    await page.getByTestId('events').getByText('walk-event').first().waitFor();
    return done();
  }],

  ['the keyboard is enough', async (browser) => {
    const { page, done } = await open(browser, OPEN);
    await settled(page);
    await page.keyboard.press('g');
    await page.keyboard.press('t');
    await page.waitForSelector('h1:text-is("Topics")');
    await page.keyboard.press('/');
    await page.keyboard.type('walk-ord');
    await until('the search', async () => (await page.locator('[data-testid="topics"] [data-row]').count()) === 1);
    await page.keyboard.press('Escape');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.waitForSelector('h1:text-is("walk-orders")');
    await page.keyboard.press('Control+k');
    await page.keyboard.type('walk-bill');
    await page.locator('[role="option"]').getByText('walk-billing').waitFor();
    await page.keyboard.press('Enter');
    await page.waitForSelector('h1:text-is("walk-billing")');
    await page.keyboard.press('?');
    await page.locator('dialog[open]').getByText('Go to anything').waitFor();
    await done();
  }],

  ['ten thousand topics are listed, searched and sorted at once', async (browser) => {
    const make = async (from) => { for (let i = from; i < MANY_TOPICS; i += 50) await api.topic(`many-${String(i).padStart(5, '0')}`, '', 2); };
    await Promise.all(Array.from({ length: 50 }, (_, i) => make(i)));
    const { page, go, done } = await open(browser, OPEN);
    await go('#/topics?search=many');
    await page.getByTestId('total').getByText('1–50 of 10,000').waitFor();
    const took = {};
    const timed = async (name, work) => { const began = performance.now(); await work(); took[name] = Math.round(performance.now() - began); };
    await timed('search', async () => { await page.locator('[data-search]').fill('many-04242'); await page.getByTestId('total').getByText('1–1 of 1').waitFor(); });
    await timed('sort', async () => { await page.locator('[data-search]').fill('many'); await page.getByRole('button', { name: 'Messages', exact: true }).click(); await page.getByTestId('total').getByText('of 10,000').waitFor(); });
    await timed('page', async () => { await page.getByRole('button', { name: 'Next page' }).click(); await page.getByTestId('total').getByText('51–100 of 10,000').waitFor(); });
    console.log(`NOTE 10,000 topics: ${JSON.stringify(took)} ms`);
    for (const [name, ms] of Object.entries(took)) ensure(ms < LIST_MS_MAX, `${name} took ${ms} ms`);
    await done();
  }],
];
