// The conversation with the harness that started us, and where received messages are put and awaited.
import { createInterface } from 'node:readline';
import { once } from 'node:events';

export const ENDPOINT = process.env.ENDPOINT;
const RUN_ID = process.env.RUN_ID;
/** Whom the clients sign as, where the server asks. May send and receive, but where the name begins with `closed`. */
export const OWN = process.env.ACCESS_KEY && { key: process.env.ACCESS_KEY, secret: process.env.SECRET_KEY };

// What the client prints belongs into the log.
const write = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);
const input = createInterface({ input: process.stdin });
let names = 0;
/** Settled when the last question is answered. */
let asking = Promise.resolve();

/**
 * Plays the cases that the filter lets through: side by side, then those alone that restart the server, as their
 * names say. A case passes when it returns.
 */
export async function run(cases) {
  const words = (process.env.CASE_FILTER ?? '').split(',').filter(Boolean);
  const isWanted = name => words.length === 0 || words.some(word => name.includes(word));
  const wanted = Object.entries(cases).filter(([name]) => isWanted(name));
  const together = wanted.filter(([name]) => !name.includes('restart'));
  const player = async () => {
    for (let next = together.shift(); next; next = together.shift()) {
      await playOne(...next);
    }
  };
  await Promise.all(Array.from({ length: Number(process.env.CASES_AT_ONCE ?? 1) }, player));
  for (const [name, play] of wanted.filter(([name]) => name.includes('restart'))) {
    await playOne(name, play);
  }
  say('DONE');
  // Clients leave timers behind.
  process.exit(0);
}

async function playOne(name, play) {
  say(`CASE ${name}`);
  try {
    await play();
    say(`PASS ${name}`);
  } catch (failure) {
    console.error(failure);
    say(`FAIL ${name} ${String(failure).replaceAll('\n', ' ')}`);
  }
}

/** A new topic of normal messages. */
export async function topic(queues) {
  const name = unique('topic');
  await operator(`topic ${name} NORMAL ${queues}`);
  return name;
}

/** A new group; options as the operator takes them. */
export async function group(...options) {
  const name = unique('group');
  await operator(['group', name, ...options].join(' '));
  return name;
}

export function unique(word) {
  names += 1;
  return `${word}-${RUN_ID}-${names}`;
}

export async function operator(command) {
  await ask(`OPERATOR ${command}`, 'OPERATED');
}

/** Returns when the server is up again; how is graceful or kill. */
export async function restart(how) {
  await ask(`RESTART ${how}`, 'RESTARTED');
}

/** One question after the other: answers come in their order. */
async function ask(question, expected) {
  const turn = asking.then(async () => {
    const answered = once(input, 'line');
    say(question);
    return (await answered)[0];
  });
  asking = turn;
  const answer = await turn;
  expect(answer === expected, `${question} was answered: ${answer}`);
}

function say(line) {
  write(`${line}\n`);
}

/** Where listeners put messages and cases await them. */
export class Inbox {
  static #waiting = new Set();
  letters = [];

  put(letter) {
    this.letters.push(letter);
    for (const look of Inbox.#waiting) look();
  }

  bodies() {
    return this.letters.map(letter => letter.body);
  }

  countOf(word) {
    return this.bodies().filter(body => body.startsWith(`${word}-`)).length;
  }

  async awaitCount(count, patience) {
    await Inbox.awaitThat(`${count} messages`, patience, () => this.letters.length >= count);
    return this.letters;
  }

  async expectSilence(milliseconds) {
    const before = this.letters.length;
    const spoke = await Inbox.#holdsWithin(milliseconds, () => this.letters.length > before);
    expect(!spoke, `unexpected: ${JSON.stringify(this.letters[before])}`);
  }

  static async awaitThat(what, patience, condition) {
    expect(await Inbox.#holdsWithin(patience, condition), `not within ${patience} ms: ${what}`);
  }

  /** Looks whenever any inbox changes. */
  static #holdsWithin(patience, condition) {
    return new Promise(resolve => {
      const finish = result => {
        clearTimeout(timer);
        Inbox.#waiting.delete(look);
        resolve(result);
      };
      const look = () => condition() && finish(true);
      const timer = setTimeout(() => finish(false), patience);
      Inbox.#waiting.add(look);
      look();
    });
  }
}

/** Waits until each of these was received at least once, by any of the inboxes. */
export async function awaitBodies(bodies, patience, ...inboxes) {
  await Inbox.awaitThat(`all of ${bodies.length} messages`, patience, () => {
    const seen = new Set(inboxes.flatMap(inbox => inbox.bodies()));
    return bodies.every(body => seen.has(body));
  });
}

export function expectEachOnce(bodies, ...inboxes) {
  const received = inboxes.flatMap(inbox => inbox.bodies());
  for (const body of bodies) {
    expectEqual(`deliveries of ${body}`, 1, received.filter(other => other === body).length);
  }
}

export function expectEqual(what, expected, actual) {
  const [wanted, got] = [JSON.stringify(expected), JSON.stringify(actual)];
  expect(wanted === got, `${what}: expected ${wanted}, got ${got}`);
}

export function expect(holds, claim) {
  if (!holds) throw new Error(claim);
}

export function bodies(word, count) {
  return Array.from({ length: count }, (_, number) => `${word}-${number}`);
}
