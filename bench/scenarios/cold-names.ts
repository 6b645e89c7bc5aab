import { holdfast, pathFloor, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { callRows } from '../report/row.js';
import { callTable, cpuTable } from '../report/tables.js';
import { callsOf, smallBytes } from './loads.js';
import { namingCallers, packedClass, warmUpNames } from './new-names.js';
import type { Bench, Scenario } from './scenario.js';

const tables: Scenario['tables'] = (rows) => [
  callTable(callsOf(rows), { what: 'names/s' }),
  cpuTable(callsOf(rows), 'names'),
];
const packed = { ...holdfast, title: 'Holdfast, packed' };
const own = { ...holdfast, name: 'own-container', title: 'Holdfast, own container' };

/** Of one repetition: containers pile up, and where nothing is warm yet a long one would warm it. */
const names = { own: 40, early: 2_000, warm: 5_000 };
const quickShare = 0.01;

/**
 * Names that nobody has used before, each resolved, placed, activated and called once, by processes that have done so for long. The
 * floor has no names: there it is a new connection and one call; the floor of the path has names, and one container.
 */
export const coldNames: Scenario = {
  name: 'cold-names',
  title: `new names, each with its first call, after as many others; packed: all share one container; ${namingCallers} callers`,

  async run(bench) {
    await using lineup = await Lineup.open([tcpContainer, pathFloor, packed], bench.signal);
    for (const contender of lineup.contenders) {
      bench.say(`warming up ${contender.title}`);
      await warmUpNames(contender, bench.settings.warmupNames);
    }
    return await measureNames(lineup, bench, { scenario: this.name, packedNames: names.warm });
  },

  tables,
};

/** The same of processes that have just been started. Those with a container of their own are more than the warm pool holds: its refill is measured. */
export const earlyNames: Scenario = {
  name: 'cold-names-early',
  title: `the same soon after a start; packed: all share one container; ${namingCallers} callers`,

  async run(bench) {
    await using lineup = await Lineup.open([tcpContainer, pathFloor, packed, own], bench.signal);
    bench.say('warming up');
    await lineup.inTurn(1, (contender) => measure(contender, bench, { prefix: 'warm-up', packedNames: names.early }));
    return await measureNames(lineup, bench, { scenario: this.name, packedNames: names.early });
  },

  tables,
};

async function measureNames(
  lineup: Lineup,
  bench: Bench,
  { scenario, packedNames }: { readonly scenario: string; readonly packedNames: number },
) {
  bench.say('new names');
  const found = await bench.cores.pollingDuring(() =>
    lineup.inTurn(bench.settings.repetitions, (contender, repetition) =>
      measure(contender, bench, { prefix: `run-${repetition}`, packedNames }),
    ),
  );
  return callRows({ scenario, callers: namingCallers, payloadBytes: smallBytes, thinkMs: 0 }, found);
}

async function measure(
  contender: Lineup['contenders'][number],
  { settings }: Bench,
  { prefix, packedNames }: { readonly prefix: string; readonly packedNames: number },
) {
  const hasOwn = contender.name === own.name;
  const many = hasOwn ? names.own : packedNames;
  const measurement = await contender.measure('firstCalls', {
    className: hasOwn ? 'Plain' : packedClass,
    callers: namingCallers,
    names: settings.isQuick ? Math.ceil(many * quickShare) : many,
    pauseMs: 0,
    prefix,
    // Packed ones cost little; containers would pile up.
    endsLater: hasOwn || contender.name !== packed.name,
  });
  await contender.endFirstCalls();
  return measurement;
}
