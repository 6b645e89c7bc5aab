/** What a sandbox does to those beside it. */
export type Disturbance = 'idle' | 'processors' | 'processes' | 'output' | 'disk';

/** Lines for a shell, each to be run without an end. */
const lines: Readonly<Record<Disturbance, string>> = {
  idle: 'sleep 3600',
  processors: 'for i in 1 2 3 4 5 6 7 8; do while :; do :; done & done; wait',
  processes: 'bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done',
  output: 'yes & yes >&2 & wait',
  disk: 'while :; do head -c 1000000000 /dev/zero > /tmp/filled; rm /tmp/filled; done',
};

export const disturbances = Object.keys(lines) as readonly Disturbance[];

export function disturbanceLine(what: Disturbance): string {
  return lines[what];
}
