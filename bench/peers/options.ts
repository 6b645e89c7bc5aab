import { parseArgs } from 'node:util';
import type { Settings } from '../scenarios/scenario.js';
import { chooseByName, commonOptions, commonUsage, settingsOf } from '../settings.js';
import { type Peer, peers } from './peers.js';

export interface PeerOptions {
  readonly peers: readonly Peer[];
  readonly jsonFile: string | null;
  readonly settings: Settings;
}

const usual = { seconds: 2, quickWarmupCalls: 200, quickWarmupNames: 40 };

export const usage = `npm run bench:peers -- [options]
  --only NAME[,NAME]   these peers alone, beside Holdfast and the TCP floor: ${peers.map(({ name }) => name).join(', ')}
  --json FILE          write all rows and verdicts there, too
${commonUsage(usual)}
  --help`;

/** Null: only the usage was wanted. @throws for options and peers that there are not */
export function parsePeerOptions(args: readonly string[]): PeerOptions | null {
  const { values } = parseArgs({ args: [...args], options: commonOptions });
  if (values.help) return null;
  return {
    peers: chooseByName('peer', peers, values.only?.split(',') ?? null),
    jsonFile: values.json ?? null,
    settings: settingsOf(values, usual),
  };
}
