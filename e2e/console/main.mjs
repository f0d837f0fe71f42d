// Walks through the console in a real browser, against a real node. One case after the other; each says in its
// name what must be true. Screenshots of every page go to the folder SHOTS.
import { cases } from './cases.mjs';
import { pictures } from './pictures.mjs';
import { launch } from './kit.mjs';

const filter = process.env.CASE_FILTER ?? '';
const browser = await launch();
let failed = 0;
for (const [name, run] of [...cases, ...pictures]) {
  if (!name.includes(filter)) continue;
  const began = Date.now();
  try {
    await run(browser);
    console.log(`PASS ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${error.stack}`);
  }
}
await browser.close();
process.exit(failed ? 1 : 0);
