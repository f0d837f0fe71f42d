// Who does not prove who it is, or may not, is refused: with the code that says so.
import { attempt } from './clients.mjs';
import * as kit from './kit.mjs';

const UNAUTHORIZED = 40100;

async function expectRefusal(account, topic) {
  let refusal;
  try {
    await attempt(account, topic);
  } catch (failure) {
    refusal = failure;
  }
  kit.expect(refusal, `${account?.key}: nobody minds`);
  kit.expectEqual(`code of ${refusal}`, UNAUTHORIZED, refusal.code);
}

async function send() {
  const topic = await kit.topic(1);
  const strangers = [
    { key: kit.OWN.key, secret: 'not its secret' },
    { key: 'nobody', secret: 'nobody-secret' },
    { key: 'disabled', secret: 'disabled-secret' },
    { key: 'guest', secret: 'guest-secret' },
    undefined,
  ];
  for (const stranger of strangers) await expectRefusal(stranger, topic);
  await attempt(kit.OWN, topic);
}

/** Its user may send to any topic but this one. */
async function closedTopic() {
  const closed = kit.unique('closed');
  await kit.operator(`topic ${closed} NORMAL 1`);
  await expectRefusal(kit.OWN, closed);
}

export const refused = kit.OWN ? { 'refused-send': send, 'refused-topic': closedTopic } : {};
