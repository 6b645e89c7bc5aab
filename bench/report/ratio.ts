import type { CallRow } from './row.js';

/** Which row of which target under which load; what is absent may be anything. */
export type RowChoice = Partial<Pick<CallRow, 'scenario' | 'target' | 'callers' | 'payloadBytes' | 'thinkMs'>>;

export function findRow<R extends Pick<CallRow, 'scenario' | 'target' | 'callers'> & RowChoice>(
  rows: readonly R[],
  choice: RowChoice,
): R | undefined {
  const wanted = Object.entries(choice);
  return rows.find((row) => wanted.every(([field, value]) => row[field as keyof RowChoice] === value));
}

/** The row of its floor under the same load; itself where it is one. */
export function floorOf(row: CallRow, rows: readonly CallRow[]): CallRow | undefined {
  const { scenario, callers, payloadBytes, thinkMs } = row;
  return row.floor === null
    ? undefined
    : findRow(rows, { scenario, target: row.floor, callers, payloadBytes, thinkMs });
}

/** Name of the target that sends the messages of the product's path, and nothing in them. */
export const pathTarget = 'path';

/** What the product's path costs at least, under the same load. */
export function pathOf(
  { scenario, callers, payloadBytes, thinkMs }: CallRow,
  rows: readonly CallRow[],
): CallRow | undefined {
  return findRow(rows, { scenario, target: pathTarget, callers, payloadBytes, thinkMs });
}

/** CPU seconds for 100 000 calls, all processes together. */
export function cpuOf(row: CallRow): number {
  return Object.values(row.cpuPer100k).reduce((sum, each) => sum + each, 0);
}
