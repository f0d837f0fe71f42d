// The server goes away and comes back in the middle of sending and consuming.
import { Inbox, awaitBodies, group, restart, topic } from './kit.mjs';
import { leave, listen, message, producer } from './clients.mjs';

const PATIENCE = 150_000;

async function survive(how) {
  const name = await topic(4);
  const client = await producer(name);
  const inbox = new Inbox();
  const consumer = await listen(await group(), name, inbox);
  const sender = new SteadySender(body => client.send(message(name, body)));
  await sender.awaitMore(50);
  await restart(how);
  await sender.awaitMore(50);
  await awaitBodies(await sender.stop(), PATIENCE, inbox);
  leave(consumer);
}

/** Sends on and on, and remembers what was acknowledged. */
class SteadySender {
  #acknowledged = new Inbox();
  #stopped = false;
  #sending;

  constructor(send) {
    this.#sending = this.#sendUntilStopped(send);
  }

  async #sendUntilStopped(send) {
    for (let number = 0; !this.#stopped; number++) {
      const body = `steady-${number}`;
      try {
        await send(body);
        this.#acknowledged.put({ body });
      } catch {
        // No promise was given; the next one may do better. Yield, so that a fast failure does not starve others.
        await new Promise(resolve => setTimeout(resolve, 50));
      }
    }
  }

  async awaitMore(count) {
    await this.#acknowledged.awaitCount(this.#acknowledged.letters.length + count, PATIENCE);
  }

  async stop() {
    this.#stopped = true;
    await this.#sending;
    return this.#acknowledged.bodies();
  }
}

export const restarting = {
  'restart-graceful': () => survive('graceful'),
  'restart-kill': () => survive('kill'),
};
