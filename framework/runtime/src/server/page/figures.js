// Numbers for people.

/** 1,234 up to a hundred thousand, 1.23M beyond. */
export function count(n) {
  if (n < 100_000) return Math.round(n).toLocaleString('en');
  return short(n);
}

/** Three digits, and k, M, G. */
export function short(n) {
  for (const [size, unit] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    // What would be rounded up to 1000 of a unit is one of the next.
    if (n >= size * 0.9995) return digits(n / size) + unit;
  }
  return n > 0 && n < 0.1 ? '<0.1' : digits(n, 1);
}

function digits(n, most = 2) {
  return n.toFixed(Math.min(most, n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2)).replace(/\.0+$/, '');
}

/** Rows per second. */
export const rate = (n) => `${short(n)}/s`;

/** Bytes. */
export function bytes(n) {
  for (const [size, unit] of [[2 ** 40, 'TiB'], [2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']]) {
    if (n >= size) return `${digits(n / size)} ${unit}`;
  }
  return `${n} B`;
}

/** A share of one. */
export function percent(share) {
  if (share > 0 && share < 0.01) return '<1%';
  return `${Math.round(share * 100)}%`;
}

/** A time that one call takes. */
export function brief(seconds) {
  if (seconds <= 0) return '–';
  if (seconds < 1e-3) return `${digits(seconds * 1e6)} µs`;
  if (seconds < 1) return `${digits(seconds * 1e3)} ms`;
  return time(seconds);
}

/** A time that somebody waits. */
export function time(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const [minutes, rest] = [Math.floor(seconds / 60), Math.floor(seconds % 60)];
  if (minutes < 60) return `${minutes} min ${rest} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Processors in use. */
export const processors = (n) => (n == null ? '–' : n.toFixed(2));

/** One thing, or several. */
export const some = (n, one, several = `${one}s`) => `${count(n)} ${n === 1 ? one : several}`;
