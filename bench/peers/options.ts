import { parseArgs } from 'node:util';
import { positive } from '../options.js';
import type { Settings } from '../scenarios/scenario.js';
import { type Peer, peers } from './peers.js';

export interface PeerOptions {
  readonly peers: readonly Peer[];
  readonly jsonFile: string | null;
  readonly settings: Settings;
}

export const usage = `npm run bench:peers -- [options]
  --only NAME[,NAME]   these peers alone, beside Holdfast and the TCP floor: ${peers.map(({ name }) => name).join(', ')}
  --json FILE          write all rows there, too
  --quick              short and small: shows that it runs, the figures mean nothing
  --repetitions N      of each measurement, in turn (default 5)
  --seconds N          of one repetition (default 2)
  --help`;

/** Null: only the usage was wanted. @throws for options and peers that there are not */
export function parsePeerOptions(args: readonly string[]): PeerOptions | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      json: { type: 'string' },
      quick: { type: 'boolean', default: false },
      repetitions: { type: 'string' },
      seconds: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  return {
    peers: chosen(values.only),
    jsonFile: values.json ?? null,
    settings: {
      repetitions: positive('repetitions', values.repetitions, values.quick ? 1 : 5),
      seconds: positive('seconds', values.seconds, values.quick ? 0.2 : 2),
      warmupCalls: values.quick ? 200 : 25_000,
      isQuick: values.quick,
    },
  };
}

function chosen(only: string | undefined): readonly Peer[] {
  if (only === undefined) return peers;
  const names = peers.map(({ name }) => name);
  const wanted = only.split(',');
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`no peer '${unknown}'; expected ${names.join(', ')}`);
  return peers.filter(({ name }) => wanted.includes(name));
}
