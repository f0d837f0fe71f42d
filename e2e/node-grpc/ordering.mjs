// Groups that are delivered in order; bodies are `key-number`.
import { Inbox, expectEqual, group, operator, unique } from './kit.mjs';
import { INVISIBLE, PATIENCE, leave, listen, message, producer, receiveOne, simpleConsumer } from './clients.mjs';

const KEYS = 4;
const EACH = 8;

async function fifoTopic(queues) {
  const name = unique('fifo');
  await operator(`topic ${name} FIFO ${queues}`);
  return name;
}

async function send(sender, topic, key, number) {
  await sender.send(message(topic, `${key}-${number}`, { messageGroup: key }));
}

/** Nothing fails here: this client knows no list of retry delays, and makes a dead letter of the first failure. */
async function fifoPush() {
  const topic = await fifoTopic(2);
  const inbox = new Inbox();
  const sender = await producer(topic);
  const consumer = await listen(await group('orderly=1'), topic, inbox);
  for (let number = 0; number < EACH; number++) {
    for (let key = 0; key < KEYS; key++) {
      await send(sender, topic, `key${key}`, number);
    }
  }
  await inbox.awaitCount(KEYS * EACH, PATIENCE);
  for (let key = 0; key < KEYS; key++) {
    const expected = Array.from({ length: EACH }, (_, number) => `key${key}-${number}`);
    expectEqual('order', expected, inbox.bodies().filter(body => body.startsWith(`key${key}-`)));
  }
  leave(consumer);
  await sender.shutdown();
}

/** What is not acknowledged keeps its key back, and comes again before the rest of it. */
async function fifoSimple() {
  const topic = await fifoTopic(1);
  const sender = await producer(topic);
  const consumer = await simpleConsumer(await group('orderly=1'), topic);
  for (const [key, number] of [['held', 0], ['held', 1], ['free', 0]]) {
    await send(sender, topic, key, number);
  }
  expectEqual('first', 'held-0', (await receiveOne(consumer)).body.toString());
  const free = await receiveOne(consumer);
  expectEqual('the other key', 'free-0', free.body.toString());
  await consumer.ack(free);
  const rest = [];
  while (rest.length < 2) {
    for (const received of await consumer.receive(16, INVISIBLE)) {
      rest.push(`${received.body} ${received.deliveryAttempt}`);
      await consumer.ack(received);
    }
  }
  expectEqual('the key', ['held-0 2', 'held-1 1'], rest);
  leave(consumer);
  await sender.shutdown();
}

export const ordering = { 'fifo-push': fifoPush, 'fifo-simple': fifoSimple };
