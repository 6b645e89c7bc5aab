import { parseArgs } from 'node:util';
import type { Scenario, Settings } from './scenarios/scenario.js';
import { scenarios } from './scenarios/scenarios.js';
import { chooseByName, commonOptions, commonUsage, settingsOf } from './settings.js';

export interface BenchOptions {
  readonly scenarios: readonly Scenario[];
  readonly jsonFile: string | null;
  /** Where performance.md and the plot are written; null: nowhere. */
  readonly reportFolder: string | null;
  /** Figures of peers, as bench:peers writes them; null: none. */
  readonly peersFile: string | null;
  /** Runs that were kept, to be reported instead of measuring; empty: measure. */
  readonly from: readonly string[];
  /** For CPU profiles of the product's processes; null: none. */
  readonly profileFolder: string | null;
  readonly settings: Settings;
}

const usual = { seconds: 1, quickWarmupCalls: 500, quickWarmupNames: 40 };

export const usage = `npm run bench -- [options]
  --only NAME[,NAME]   these scenarios alone
  --json FILE          write all rows and verdicts there, too
  --report FOLDER      write the plot and the tables into FOLDER/performance.md, between its markers
  --peers FILE         what npm run bench:peers -- --json FILE has written, for the comparison
  --from FILE[,FILE]   measure nothing, report these files of --json; of a scenario in several the last one counts
${commonUsage(usual)}
  --prof FOLDER        CPU profiles under warm calls of 64 callers and new names of 8; measures only what --only names
  --help

Scenarios:
${scenarios.map(({ name, title }) => `  ${name.padEnd(12)} ${title}`).join('\n')}`;

/** Null: only the usage was wanted. @throws for options and scenarios that there are not */
export function parseOptions(args: readonly string[]): BenchOptions | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...commonOptions,
      report: { type: 'string' },
      peers: { type: 'string' },
      from: { type: 'string' },
      prof: { type: 'string' },
    },
  });
  if (values.help) return null;
  // Profiles alone, where nothing else was asked for.
  const only = values.only?.split(',') ?? (values.prof === undefined ? null : []);
  return {
    scenarios: chooseByName('scenario', scenarios, only),
    jsonFile: values.json ?? null,
    reportFolder: values.report ?? null,
    peersFile: values.peers ?? null,
    from: values.from?.split(',') ?? [],
    profileFolder: values.prof ?? null,
    settings: settingsOf(values, usual),
  };
}
