// Sending and consuming when all goes well.
import { Inbox, awaitBodies, bodies, expect, expectEachOnce, expectEqual, group, topic } from './kit.mjs';
import {
  INVISIBLE, PATIENCE, drain, leave, listen, message, producer, pushConsumer, receiveOne, sendAll, simpleConsumer,
} from './clients.mjs';

const COUNT = 20;
/** In milliseconds; far below what is left of every client's poll, and the machine is busy. */
const WAKE_LIMIT = 3_000;

async function sendSync() {
  const name = await topic(4);
  const sender = await producer(name);
  const ids = new Set();
  for (const body of bodies('sync', COUNT)) {
    ids.add((await sender.send(message(name, body))).messageId);
  }
  expectEqual('distinct ids', COUNT, ids.size);
  for (const letter of await received(name, bodies('sync', COUNT))) {
    expect(ids.has(letter.id), 'the id was given at the send');
  }
  await sender.shutdown();
}

async function sendAsync() {
  const name = await topic(4);
  const sender = await producer(name);
  await Promise.all(bodies('async', COUNT).map(body => sender.send(message(name, body))));
  await received(name, bodies('async', COUNT));
  await sender.shutdown();
}

async function sendLargeBody() {
  const name = await topic(1);
  const sender = await producer(name);
  const large = '0123456789'.repeat(100_000);
  await sender.send(message(name, large));
  await received(name, [large]);
  await sender.shutdown();
}

async function roundTrip() {
  const name = await topic(1);
  const sender = await producer(name);
  const receipt = await sender.send(message(name, 'Grüße, 世界', {
    tag: 'colour',
    keys: ['key-1', 'key-2'],
    properties: new Map([['shape', 'round'], ['city', 'Zürich']]),
  }));
  const [letter] = await received(name, ['Grüße, 世界']);
  expectEqual('tag', 'colour', letter.tag);
  expectEqual('keys', ['key-1', 'key-2'], letter.keys);
  expectEqual('shape', 'round', letter.properties.get('shape'));
  expectEqual('city', 'Zürich', letter.properties.get('city'));
  expectEqual('id', receipt.messageId, letter.id);
  expectEqual('attempt', 1, letter.attempt);
  await sender.shutdown();
}

/** What was acknowledged does not come again to the group's next consumer. */
async function pushConsume() {
  const [name, members] = [await topic(4), await group()];
  const sender = await producer(name);
  const [first, second] = [new Inbox(), new Inbox()];
  const consumer = await listen(members, name, first);
  const early = await sendAll(sender, name, 'early', COUNT);
  await awaitBodies(early, PATIENCE, first);
  await consumer.shutdown();
  expectEachOnce(early, first);

  const successor = await listen(members, name, second);
  const late = await sendAll(sender, name, 'late', COUNT);
  await awaitBodies(late, PATIENCE, second);
  expectEqual('messages of the second consumer', COUNT, second.letters.length);
  leave(successor);
  await sender.shutdown();
}

async function simpleConsume() {
  const name = await topic(4);
  const sender = await producer(name);
  const consumer = await simpleConsumer(await group(), name);
  const sent = await sendAll(sender, name, 'simple', COUNT);
  const inbox = new Inbox();
  await drain(consumer, inbox, sent);
  expectEachOnce(sent, inbox);
  // Nothing comes back after the invisible time has passed: everything was acknowledged.
  const end = Date.now() + INVISIBLE + 4_000;
  while (Date.now() < end) {
    expectEqual('received again', 0, (await consumer.receive(16, INVISIBLE)).length);
  }
  leave(consumer);
  await sender.shutdown();
}

async function tagFilter() {
  const name = await topic(1);
  const sender = await producer(name);
  for (const tag of ['red', 'blue', 'green', 'blue', 'red', 'green']) {
    await sender.send(message(name, tag, { tag }));
  }
  const inbox = new Inbox();
  const take = letter => {
    inbox.put(letter);
    return true;
  };
  const consumer = await pushConsumer(await group(), name, take, 'red || green');
  await inbox.awaitCount(4, PATIENCE);
  await inbox.expectSilence(1_000);
  expectEqual('bodies', ['green', 'green', 'red', 'red'], inbox.bodies().sort());
  leave(consumer);
  await sender.shutdown();
}

/** A message wakes the waiting receiver at once: the poll itself would last five seconds. */
async function longPoll() {
  const name = await topic(1);
  const sender = await producer(name);
  const consumer = await simpleConsumer(await group(), name);
  await sendAll(sender, name, 'warm-up', 1);
  await consumer.ack(await receiveOne(consumer));
  for (let number = 0; number < 3; number++) {
    let isPending = true;
    const waiting = consumer.receive(1, INVISIBLE).finally(() => {
      isPending = false;
    });
    await new Inbox().expectSilence(1_500);
    expect(isPending, 'the receive call did not wait');
    await sendAll(sender, name, `wake${number}`, 1);
    const answered = Date.now();
    const messages = await waiting;
    const waited = Date.now() - answered;
    expectEqual('received', 1, messages.length);
    await consumer.ack(messages[0]);
    expect(waited < WAKE_LIMIT, `woken ${waited} ms after the send's answer`);
  }
  leave(consumer);
  await sender.shutdown();
}

async function received(name, wanted) {
  const inbox = new Inbox();
  const consumer = await simpleConsumer(await group(), name);
  await drain(consumer, inbox, wanted);
  expectEachOnce(wanted, inbox);
  leave(consumer);
  return inbox.letters;
}

export const plain = {
  'send-sync': sendSync,
  'send-async': sendAsync,
  'send-large-body': sendLargeBody,
  'round-trip': roundTrip,
  'push-consume': pushConsume,
  'simple-consume': simpleConsume,
  'tag-filter': tagFilter,
  'long-poll': longPoll,
};
