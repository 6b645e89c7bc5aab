const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Bytes in the unit in which they read best: `512 B`, `1.5 MiB`. */
export function byteText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1_024 && unit < units.length - 1; unit += 1) value /= 1_024;
  return `${unit === 0 ? Math.round(value) : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}
