// Every text that the page shows stands in every list of `src/lib`, and no list has others. With `--missing`
// prints what is missing, for whoever translates.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

function* files(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* files(path);
    else if (/\.(svelte|js)$/.test(name)) yield path;
  }
}

const shown = new Set();
for (const path of files('src')) {
  const text = readFileSync(path, 'utf8');
  for (const [, , found] of text.matchAll(/\bt\((['"])((?:(?!\1).)+)\1/g)) shown.add(found);
  // Texts that are kept in lists and shown by `t(variable)`.
  for (const [, found] of text.matchAll(/title: '([^']+)'/g)) shown.add(found);
  for (const [, list] of text.matchAll(/const (?:TABS|general|WORDS) = (\[\[.*?\]\]);/g)) {
    for (const [, found] of list.matchAll(/, '([^']+)'\]/g)) shown.add(found);
  }
}
for (const text of ['admin', 'operator', 'topic', 'group', 'producer', 'node', 'The node does not answer.']) shown.add(text);

const zh = (await import('../src/lib/zh.js')).default;
const missing = [...shown].filter((text) => !(text in zh));
const unused = Object.keys(zh).filter((text) => !shown.has(text));
if (process.argv.includes('--missing')) {
  for (const text of missing) console.log(JSON.stringify(text));
} else if (missing.length || unused.length) {
  console.error(`zh.js lacks ${missing.length} texts:\n${missing.join('\n')}\nand has ${unused.length} that are not shown:\n${unused.join('\n')}`);
  process.exit(1);
}
