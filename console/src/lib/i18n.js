// English is written where it is shown; other languages have a list. `npm run build` fails if one lacks a text.
import { prefs } from './prefs.svelte.js';
import zh from './zh.js';

const lists = { zh };

/** The text in the chosen language, with `{name}` replaced. */
export function t(text, values) {
  const found = lists[prefs.language]?.[text] ?? text;
  return values ? found.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '') : found;
}
