// Half messages: what is committed is seen, once; what is left open is asked about.
import definition from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import { PATIENCE, leave, listen, message, transactional } from './clients.mjs';
import { Inbox, awaitBodies, bodies, expect, expectEqual, group, operator, unique } from './kit.mjs';

const { TransactionResolution } = definition;
const COUNT = 20;
/** Longer than the first check and one interval of the server under test. */
const QUIET = 9_000;

export const transactions = {
  'tx-commit-rollback': commitAndRollback,
  'tx-check': check,
  'tx-producer-gone': producerGone,
};

async function newTopic() {
  const name = unique('topic');
  await operator(`topic ${name} TRANSACTION 4`);
  return name;
}

const isEven = body => Number(body.split('-').pop()) % 2 === 0;
const byNumber = body => (isEven(body) ? TransactionResolution.COMMIT : TransactionResolution.ROLLBACK);
const unknown = () => TransactionResolution.TRANSACTION_RESOLUTION_UNSPECIFIED;

/** Answers checks, and remembers what it was asked. */
function decider(whenAsked) {
  const inbox = new Inbox();
  return {
    inbox,
    async check(view) {
      const body = view.body.toString();
      inbox.put({ body });
      return whenAsked(body);
    },
  };
}

async function commitAndRollback() {
  const topic = await newTopic();
  const checker = decider(unknown);
  const client = await transactional(topic, checker);
  const sent = bodies('settled', COUNT);
  for (const body of sent) {
    const transaction = client.beginTransaction();
    await client.send(message(topic, body), transaction);
    await (isEven(body) ? transaction.commit() : transaction.rollback());
  }
  await expectEven(topic, sent);
  expect(checker.inbox.letters.length === 0, `asked about ${checker.inbox.bodies()}`);
  await client.shutdown();
}

async function check() {
  const topic = await newTopic();
  const checker = decider(byNumber);
  const client = await transactional(topic, checker);
  const sent = bodies('open', COUNT);
  for (const body of sent) {
    await client.send(message(topic, body), client.beginTransaction());
  }
  await awaitBodies(sent, PATIENCE, checker.inbox);
  await expectEven(topic, sent);
  await client.shutdown();
}

async function producerGone() {
  const topic = await newTopic();
  const first = await transactional(topic, decider(unknown));
  const sent = bodies('orphan', COUNT);
  for (const body of sent) {
    await first.send(message(topic, body), first.beginTransaction());
  }
  await first.shutdown();
  const heir = decider(byNumber);
  const second = await transactional(topic, heir);
  await awaitBodies(sent, PATIENCE, heir.inbox);
  await expectEven(topic, sent);
  await second.shutdown();
}

async function expectEven(topic, sent) {
  const inbox = new Inbox();
  const consumer = await listen(await group(), topic, inbox);
  const wanted = sent.filter(isEven);
  await awaitBodies(wanted, PATIENCE, inbox);
  await inbox.expectSilence(QUIET);
  leave(consumer);
  expectEqual('received', [...wanted].sort(), inbox.bodies().sort());
}
