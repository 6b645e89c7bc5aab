import type { Spread } from './row.js';

/** Three digits or all whole ones, in groups of three. */
export function formatNumber(value: number): string {
  if (Math.abs(value) < 99.95) return Number(value.toPrecision(3)).toString();
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ' ');
}

/** Half the distance between the worst and the best repetition. */
export function formatSpread({ median, min, max }: Spread): string {
  return median === 0 ? '' : `±${Math.round(((max - min) / 2 / median) * 100)} %`;
}

/** A multiple of something. */
export function formatRatio(value: number): string {
  return value.toFixed(2);
}

/** A time in the unit that shows it best. */
export function formatUs(us: number): string {
  return us < 1_000 ? `${formatNumber(us)} µs` : `${formatNumber(us / 1_000)} ms`;
}
