// Numbers, sizes and times for people.
import { prefs } from './prefs.svelte.js';
import { t } from './i18n.js';

const locale = () => (prefs.language === 'zh' ? 'zh-CN' : 'en-GB');

export const count = (n) => (n == null ? '–' : Number(n).toLocaleString('en-US'));

/** 1,234 or 12.3k or 4.56M */
export function short(n) {
  if (n == null) return '–';
  const a = Math.abs(n);
  if (a >= 1e9) return `${(n / 1e9).toFixed(2)}G`;
  if (a >= 1e6) return `${(n / 1e6).toFixed(2)}M`;
  if (a >= 1e4) return `${(n / 1e3).toFixed(1)}k`;
  return count(Math.round(n));
}

export function rate(n) {
  if (n == null) return '–';
  if (n === 0) return '0';
  if (n < 10) return n.toFixed(n < 0.1 ? 2 : 1);
  return short(n);
}

export function bytes(n) {
  if (n == null) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let i = 0;
  while (Math.abs(n) >= 1024 && i < units.length - 1) { n /= 1024; i += 1; }
  return `${i && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

export function micros(us) {
  if (!us) return '–';
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1000).toFixed(us < 1e4 ? 1 : 0)} ms`;
  return `${(us / 1e6).toFixed(1)} s`;
}

export function span(ms) {
  if (ms == null) return '–';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

const two = (n) => String(n).padStart(2, '0');
const three = (n) => String(n).padStart(3, '0');

/** 2026-11-21 23:45:01.123, the person's own time zone. */
export function time(ms, exact = false) {
  if (!ms || ms <= 0) return '–';
  const d = new Date(ms);
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  const clock = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return exact ? `${day} ${clock}.${three(d.getMilliseconds())}` : `${day} ${clock}`;
}

/** 3 min ago */
export function ago(ms, now = Date.now()) {
  if (!ms || ms <= 0) return '–';
  const s = Math.round((ms - now) / 1000);
  const words = new Intl.RelativeTimeFormat(locale(), { numeric: 'auto', style: 'short' });
  const a = Math.abs(s);
  if (a < 5) return t('just now');
  if (a < 60) return words.format(s, 'second');
  if (a < 3600) return words.format(Math.trunc(s / 60), 'minute');
  if (a < 86400) return words.format(Math.trunc(s / 3600), 'hour');
  return words.format(Math.trunc(s / 86400), 'day');
}

/** For an input of type datetime-local. */
export function localInput(ms) {
  const d = new Date(ms - new Date(ms).getTimezoneOffset() * 60000);
  return d.toISOString().slice(0, 19);
}

export function pretty(text) {
  const first = text.trimStart()[0];
  if (first !== '{' && first !== '[') return null;
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return null; }
}

export function hex(base64) {
  const raw = atob(base64);
  const lines = [];
  for (let i = 0; i < raw.length; i += 16) {
    const part = [...raw.slice(i, i + 16)].map((c) => c.charCodeAt(0));
    const codes = part.map((b) => b.toString(16).padStart(2, '0')).join(' ').padEnd(47);
    lines.push(`${i.toString(16).padStart(6, '0')}  ${codes}  ${part.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : '.')).join('')}`);
  }
  return lines.join('\n');
}
