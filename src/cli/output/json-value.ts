/**
 * Any value that a method can answer with, as JSON: dates as ISO text, bigints as digits, bytes as base64, maps as pairs,
 * sets as lists, errors as name and message; what JSON has no word for is null.
 */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(plain(value, new Set()), null, indent) ?? 'null';
}

function plain(value: unknown, above: ReadonlySet<object>): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value === undefined ? null : value;
  if (above.has(value)) return '[circular]';
  const inside = new Set(above).add(value);
  const deeper = (part: unknown): unknown => plain(part, inside);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof RegExp) return String(value);
  if (value instanceof ArrayBuffer) return Buffer.from(value).toString('base64');
  if (ArrayBuffer.isView(value)) return viewAsJson(value);
  if (value instanceof Map) return [...value].map(([key, part]) => [deeper(key), deeper(part)]);
  if (value instanceof Set || Array.isArray(value)) return [...value].map(deeper);
  const fields = Object.entries(value).map(([key, part]) => [key, deeper(part)]);
  if (value instanceof Error) return { name: value.name, message: value.message, ...Object.fromEntries(fields) };
  return Object.fromEntries(fields);
}

function viewAsJson(view: ArrayBufferView): unknown {
  if (view instanceof Uint8Array || view instanceof DataView) {
    return Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('base64');
  }
  return [...(view as unknown as Iterable<number | bigint>)].map((item) =>
    typeof item === 'bigint' ? `${item}` : item,
  );
}
