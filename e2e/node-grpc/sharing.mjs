// Several consumers of one group.
import { Inbox, awaitBodies, expectEachOnce, group, topic } from './kit.mjs';
import { PATIENCE, leave, listen, producer, sendAll } from './clients.mjs';

const WAVE = 16;

async function shareGroup() {
  const [name, members] = [await topic(4), await group()];
  const sender = await producer(name);
  const [one, other] = [new Inbox(), new Inbox()];
  const first = await listen(members, name, one);
  const second = await listen(members, name, other);
  await awaitBalance(sender, name, one, other);
  const shared = await sendAll(sender, name, 'shared', 40);
  await awaitBodies(shared, PATIENCE, one, other);
  expectEachOnce(shared, one, other);
  leave(first);
  leave(second);
  await sender.shutdown();
}

async function joinLeave() {
  const [name, members] = [await topic(4), await group()];
  const sender = await producer(name);
  const [staying, leaving] = [new Inbox(), new Inbox()];
  const leaver = await listen(members, name, leaving);
  const sent = await sendAll(sender, name, 'alone', 20);
  const stayer = await listen(members, name, staying);
  sent.push(...await sendAll(sender, name, 'joining', 40));
  await awaitBalance(sender, name, staying, leaving);
  sent.push(...await sendAll(sender, name, 'leaving', 20));
  await leaver.shutdown();
  const left = await sendAll(sender, name, 'left', 20);
  await awaitBodies([...sent, ...left], 2 * PATIENCE, staying, leaving);
  await awaitBodies(left, PATIENCE, staying);
  leave(stayer);
  await sender.shutdown();
}

async function twoGroups() {
  const name = await topic(4);
  const sender = await producer(name);
  const [one, other] = [new Inbox(), new Inbox()];
  const first = await listen(await group(), name, one);
  const second = await listen(await group(), name, other);
  const copied = await sendAll(sender, name, 'copied', 20);
  for (const inbox of [one, other]) {
    await awaitBodies(copied, PATIENCE, inbox);
    expectEachOnce(copied, inbox);
  }
  leave(first);
  leave(second);
  await sender.shutdown();
}

/** Sends waves until one of them reaches both: from then on both consumers take part. */
async function awaitBalance(sender, name, one, other) {
  for (let wave = 0; wave < 200; wave++) {
    const word = `wave${wave}`;
    await awaitBodies(await sendAll(sender, name, word, WAVE), PATIENCE, one, other);
    if (one.countOf(word) > 0 && other.countOf(word) > 0) return;
  }
  throw new Error('the group never balanced');
}

export const sharing = { 'share-group': shareGroup, 'join-leave': joinLeave, 'two-groups': twoGroups };
