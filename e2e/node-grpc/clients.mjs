// Producers and consumers as the cases need them.
import rocketmq from 'rocketmq-client-nodejs';
import { ENDPOINT, OWN, bodies, expect } from './kit.mjs';

const { ConsumeResult, Producer, PushConsumer, SimpleConsumer } = rocketmq;

export const PATIENCE = 60_000;
/** The shortest invisible duration that the protocol allows. */
export const INVISIBLE = 10_000;
const POLL = 5_000;

const common = { endpoints: ENDPOINT, namespace: '', requestTimeout: 5_000, ...signing(OWN) };

/** Options that sign as an account, or not at all. */
function signing(account) {
  return account ? { sessionCredentials: { accessKey: account.key, accessSecret: account.secret } } : {};
}

/** One message, sent as somebody. Where a client is told its topic at the start, it hides why it got no route. */
export async function attempt(account, topic) {
  const client = new Producer({ ...common, sessionCredentials: undefined, ...signing(account) });
  await client.startup();
  try {
    await client.send(message(topic, 'may I?'));
  } finally {
    await client.shutdown();
  }
}

export async function producer(topic) {
  const client = new Producer({ ...common, topic });
  await client.startup();
  return client;
}

/** A producer of transactions; the checker answers for those that were left open. */
export async function transactional(topic, checker) {
  const client = new Producer({ ...common, topic, checker });
  await client.startup();
  return client;
}

export async function sendAll(client, topic, word, count) {
  const sent = bodies(word, count);
  for (const body of sent) {
    await client.send(message(topic, body));
  }
  return sent;
}

export function message(topic, body, dress = {}) {
  return { topic, body: Buffer.from(body), ...dress };
}

export async function simpleConsumer(consumerGroup, topic) {
  const client = new SimpleConsumer({
    ...common, consumerGroup, subscriptions: new Map([[topic, '*']]), awaitDuration: POLL,
  });
  await client.startup();
  return client;
}

/** A consumer that succeeds or fails on a message as the verdict says. */
export async function pushConsumer(consumerGroup, topic, verdict, tags = '*') {
  const client = new PushConsumer({
    ...common,
    consumerGroup,
    subscriptions: new Map([[topic, tags]]),
    longPollingTimeout: POLL,
    messageListener: {
      async consume(view) {
        return verdict(letter(view)) ? ConsumeResult.SUCCESS : ConsumeResult.FAILURE;
      },
    },
  });
  await client.startup();
  return client;
}

/** A consumer that puts everything into the inbox and succeeds. */
export function listen(consumerGroup, topic, inbox) {
  return pushConsumer(consumerGroup, topic, received => {
    inbox.put(received);
    return true;
  });
}

/** Stops a client without waiting for it: its open long polls may take a while to end. */
export function leave(client) {
  client.shutdown().catch(failure => console.error(failure));
}

export async function receiveOne(consumer) {
  const deadline = Date.now() + PATIENCE;
  while (Date.now() < deadline) {
    const [received] = await consumer.receive(1, INVISIBLE);
    if (received) return received;
  }
  throw new Error('nothing received');
}

/** Receives and acknowledges until all these bodies are in the inbox. */
export async function drain(consumer, inbox, wanted) {
  const deadline = Date.now() + PATIENCE;
  while (!wanted.every(body => inbox.bodies().includes(body))) {
    expect(Date.now() < deadline, `received ${inbox.letters.length} of ${wanted.length}`);
    for (const received of await consumer.receive(16, INVISIBLE)) {
      inbox.put(letter(received));
      await consumer.ack(received);
    }
  }
}

export function letter(view) {
  return {
    body: view.body.toString(),
    tag: view.tag,
    keys: [...view.keys].sort(),
    properties: view.properties,
    attempt: view.deliveryAttempt,
    id: view.messageId,
  };
}
