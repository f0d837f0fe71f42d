// Timed messages, and their recall.
import { Inbox, awaitBodies, bodies, expect, expectEachOnce, expectEqual, group, operator, unique } from './kit.mjs';
import { PATIENCE, leave, listen, message, producer, pushConsumer } from './clients.mjs';

const COUNT = 10;
/** A push consumer hears of a message by its long poll; the machine is busy. */
const ROUND_TRIP = 3_000;

async function delayed() {
  const name = unique('timed');
  await operator(`topic ${name} DELAY 2`);
  return name;
}

function send(sender, name, body, due) {
  return sender.send(message(name, body, { deliveryTimestamp: new Date(due) }));
}

async function deliver() {
  const name = await delayed();
  const [sender, inbox, times] = [await producer(name), new Inbox(), new Map()];
  const consumer = await pushConsumer(await group(), name, letter => {
    times.set(letter.body, Date.now());
    inbox.put(letter);
    return true;
  });
  const due = number => start + 4_000 + number * 137;
  const start = Date.now();
  const sent = bodies('later', COUNT);
  for (const [number, body] of sent.entries()) {
    await send(sender, name, body, due(number));
  }
  await awaitBodies(sent, PATIENCE, inbox);
  expectEachOnce(sent, inbox);
  for (const [number, body] of sent.entries()) {
    const late = times.get(body) - due(number);
    expect(late >= 0 && late < ROUND_TRIP, `${body} came ${late} ms after its time`);
  }
  leave(consumer);
  await sender.shutdown();
}

async function recall() {
  const name = await delayed();
  const [sender, inbox] = [await producer(name), new Inbox()];
  const consumer = await listen(await group(), name, inbox);
  const due = Date.now() + 6_000;
  for (let number = 0; number < COUNT; number++) {
    const gone = await send(sender, name, `gone-${number}`, due);
    await send(sender, name, `kept-${number}`, due);
    const receipt = await sender.recallMessage(name, gone.recallHandle);
    expectEqual('id', gone.messageId, receipt.messageId);
  }
  await awaitBodies(bodies('kept', COUNT), PATIENCE, inbox);
  await inbox.expectSilence(3_000);
  expectEachOnce(bodies('kept', COUNT), inbox);
  leave(consumer);
  await sender.shutdown();
}

export const timing = { 'timed-deliver': deliver, 'timed-recall': recall };
