// Consumption that fails: retry, redelivery, dead letters.
import { Inbox, expect, expectEqual, group, operator, topic } from './kit.mjs';
import {
  INVISIBLE, PATIENCE, leave, letter, message, producer, pushConsumer, receiveOne, sendAll, simpleConsumer,
} from './clients.mjs';

async function retry() {
  const name = await topic(1);
  const sender = await producer(name);
  const inbox = new Inbox();
  const consumer = await pushConsumer(await group('step-ms=1000'), name, received => {
    inbox.put(received);
    return received.attempt >= 3;
  });
  const receipt = await sender.send(message(name, 'try me', { tag: 'again' }));
  const attempts = await inbox.awaitCount(3, PATIENCE);
  attempts.forEach((received, index) => {
    expectEqual('attempt', index + 1, received.attempt);
    expectEqual('body', 'try me', received.body);
    expectEqual('tag', 'again', received.tag);
    expectEqual('id', receipt.messageId, received.id);
  });
  // Success ends it: the next retry would be due after one second.
  await inbox.expectSilence(4_000);
  leave(consumer);
  await sender.shutdown();
}

/** Without an acknowledgement the message becomes visible again, and its attempts are counted. */
async function retrySimple() {
  const name = await topic(1);
  const sender = await producer(name);
  const consumer = await simpleConsumer(await group(), name);
  await sendAll(sender, name, 'take-your-time', 1);
  const first = await receiveOne(consumer);
  const received = Date.now();
  const second = await receiveOne(consumer);
  const hidden = Date.now() - received;
  await consumer.ack(second);
  expectEqual('attempts', [1, 2], [first.deliveryAttempt, second.deliveryAttempt]);
  expectEqual('id', first.messageId, second.messageId);
  expect(hidden >= INVISIBLE - 1_000, `hidden for ${hidden} ms`);
  leave(consumer);
  await sender.shutdown();
}

/** A longer invisible duration counts from the moment of its change. */
async function changeInvisible() {
  const name = await topic(1);
  const sender = await producer(name);
  const consumer = await simpleConsumer(await group(), name);
  await sendAll(sender, name, 'not-yet', 1);
  const first = await receiveOne(consumer);
  await consumer.changeInvisibleDuration(first, 15_000);
  const changed = Date.now();
  const second = await receiveOne(consumer);
  const hidden = Date.now() - changed;
  await consumer.ack(second);
  expect(hidden >= 14_000, `hidden for ${hidden} ms`);
  leave(consumer);
  await sender.shutdown();
}

async function deadLetter() {
  const [name, members] = [await topic(1), await group('retries=1', 'step-ms=1000')];
  const sender = await producer(name);
  const inbox = new Inbox();
  const consumer = await pushConsumer(members, name, received => {
    inbox.put(received);
    return false;
  });
  await sender.send(message(name, 'never', { tag: 'hopeless' }));
  await inbox.awaitCount(2, PATIENCE);
  // The dead-letter topic comes into being with its first message.
  const deadLetters = `%DLQ%${members}`;
  await operator(`await-topic ${deadLetters}`);
  const reader = await simpleConsumer(await group(), deadLetters);
  const dead = letter(await receiveOne(reader));
  expectEqual('body', 'never', dead.body);
  expectEqual('tag', 'hopeless', dead.tag);
  expectEqual('attempts', 2, inbox.letters.length);
  leave(reader);
  leave(consumer);
  await sender.shutdown();
}

export const failing = {
  'retry': retry,
  'retry-simple': retrySimple,
  'change-invisible': changeInvisible,
  'dead-letter': deadLetter,
};
