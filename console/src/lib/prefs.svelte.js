// What a person chose: theme, language; kept in this browser.
const kept = (name) => { try { return localStorage.getItem(`apogee.${name}`); } catch { return null; } };
const keep = (name, value) => { try { localStorage.setItem(`apogee.${name}`, value); } catch { /* private window */ } };

const dark = matchMedia('(prefers-color-scheme: dark)');
const system = () => (dark.matches ? 'dark' : 'light');

export const prefs = $state({
  theme: kept('theme') ?? system(),
  language: kept('language') ?? (navigator.language.startsWith('zh') ? 'zh' : 'en'),
});

function show() {
  document.documentElement.dataset.theme = prefs.theme;
  document.documentElement.lang = prefs.language;
}
show();
dark.addEventListener('change', () => { if (!kept('theme')) { prefs.theme = system(); show(); } });

export function setTheme(theme) { prefs.theme = theme; keep('theme', theme); show(); }
export function setLanguage(language) { prefs.language = language; keep('language', language); show(); }
