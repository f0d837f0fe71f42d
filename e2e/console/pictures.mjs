// Every page in both themes, on a phone and in Chinese: to be looked at, and checked for what a program can see.
import { Api, accessible, ensure, open, settled, shot } from './kit.mjs';

const OPEN = process.env.HTTP;
const GUARDED = process.env.HTTP_GUARDED;

const PAGES = [
  ['overview', '#/'], ['health', '#/health'], ['events', '#/events'], ['config', '#/config?search=broker'], ['topics', '#/topics?search=walk'], ['topic', '#/topics/walk-orders'], ['topic-queues', '#/topics/walk-orders?tab=queues'],
  ['topic-messages', '#/topics/walk-orders?tab=messages'], ['topic-consumers', '#/topics/walk-reset?tab=consumers'], ['topic-send', '#/topics/walk-orders?tab=send'], ['topic-new', '#/topics?new=1'], ['groups', '#/groups'], ['group', '#/groups/walk-billing'],
  ['group-config', '#/groups/walk-billing?tab=config'], ['messages', '#/messages?topic=walk-orders'], ['message', null], ['dead-letters', '#/dead-letters'], ['dead-letter', '#/dead-letters/walk-failing'], ['timers', '#/timers?topic=walk-later'],
  ['transactions', '#/transactions'], ['clients', '#/clients'], ['users', '#/users'], ['quotas', '#/quotas'], ['start', '#/start'], ['start-go', '#/start?language=Go+5.x'], ['not-found', '#/nowhere'],
];

async function hashOf(hash) {
  if (hash) return hash;
  const page = await new Api(OPEN).op('message.browse', { topic: 'walk-poison', limit: 1 });
  return `#/messages/walk-poison/${page.messages[0].message_id}`;
}

async function walk(browser, prefix, options, each) {
  const { page, go, done } = await open(browser, OPEN, options);
  for (const [name, hash] of PAGES) {
    await go(await hashOf(hash));
    await shot(page, `${prefix}-${name}`);
    await each(page, `${prefix}-${name}`);
    await page.keyboard.press('Escape');
  }
  await done();
}

/** Nothing stands out of the page to the side. */
async function fits(page, where) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  ensure(over <= 0, `${where} is ${over} pixels too wide`);
}

async function both(page, where) {
  await fits(page, where);
  await accessible(page, where);
}

export const pictures = [
  ['every page in light colours', async (browser) => {
    await new Api(OPEN).op('user.put', { user: 'picture', password: 'picture-secret', mode: 'put' });
    await new Api(OPEN).op('acl.put', { user: 'picture', policies: [{ kind: 'Custom', entries: [{ resource: 'Topic:*', actions: ['Get', 'List'], decision: 'Allow' }, { resource: 'Topic:walk-orders', actions: ['Pub'], decision: 'Deny', source_ips: ['10.0.0.0/8'] }] }] });
    await new Api(OPEN).send('walk-later', { body: 'later', keys: ['k1'], tag: 'eu', delay_ms: 3_600_000 });
    await walk(browser, 'light', { theme: 'light' }, both);
  }],
  ['every page in dark colours', (browser) => walk(browser, 'dark', { theme: 'dark' }, both)],
  ['every page on a phone', (browser) => walk(browser, 'phone', { width: 390, height: 844, theme: 'light' }, both)],
  ['every page in Chinese', (browser) => walk(browser, 'zh', { language: 'zh-CN', theme: 'dark' }, fits)],
  ['the sign-in page', async (browser) => {
    for (const theme of ['light', 'dark']) {
      const { page, done } = await open(browser, GUARDED, { theme, refusals: [401] });
      await settled(page);
      await shot(page, `${theme}-sign-in`);
      await both(page, `${theme}-sign-in`);
      await done();
    }
  }],
  ['the menu on a phone', async (browser) => {
    const { page, done } = await open(browser, OPEN, { width: 390, height: 844, theme: 'dark' });
    await settled(page);
    await page.getByRole('button', { name: 'Menu' }).click();
    await page.waitForTimeout(300);
    await shot(page, 'phone-menu');
    await page.getByRole('navigation').getByRole('link', { name: 'Topics' }).click();
    await page.waitForSelector('h1:text-is("Topics")');
    await done();
  }],
];
