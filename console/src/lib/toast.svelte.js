// Short words about what was done.
export const toasts = $state([]);
let next = 0;

export function say(text, kind = 'good') {
  const id = (next += 1);
  toasts.push({ id, text, kind });
  setTimeout(() => {
    const at = toasts.findIndex((one) => one.id === id);
    if (at >= 0) toasts.splice(at, 1);
  }, kind === 'bad' ? 8000 : 4000);
}
