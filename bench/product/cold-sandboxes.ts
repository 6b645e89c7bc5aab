/** So many that none was asked for within the last seconds: of what was, a worker has one ready. */
export const coldKinds = 40;

export function coldName(kind: number): string {
  return `cold-${kind}`;
}
