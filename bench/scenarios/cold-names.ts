import { holdfast, pathFloor, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { callRows } from '../report/row.js';
import { callTable, cpuTable } from '../report/tables.js';
import { callsOf, smallBytes } from './loads.js';
import type { Bench, Scenario } from './scenario.js';

const callers = 8;

/**
 * Names that nobody has used before, each resolved, placed, activated and called once. The floor has no names: there it is a
 * new connection and one call; the floor of the path has names, and one container. Those with a container of their own are more than the warm pool holds: its refill is measured.
 */
export const coldNames: Scenario = {
  name: 'cold-names',
  title: `new names, each with its first call; packed: all share one container; ${callers} callers`,

  async run(bench) {
    const packed = { ...holdfast, title: 'Holdfast, packed' };
    const own = { ...holdfast, name: 'own-container', title: 'Holdfast, own container' };
    await using lineup = await Lineup.open([tcpContainer, pathFloor, packed, own], bench.signal);
    const { settings, say } = bench;
    say('warming up');
    await lineup.inTurn(1, (contender) => measure(contender, bench, 'warm-up'));
    say('new names');
    const found = await lineup.inTurn(settings.repetitions, (contender, repetition) =>
      measure(contender, bench, `run-${repetition}`),
    );
    return callRows({ scenario: this.name, callers, payloadBytes: smallBytes, thinkMs: 0 }, found);
  },

  tables: (rows) => [callTable(callsOf(rows), { what: 'names/s' }), cpuTable(callsOf(rows), 'names')],
};

async function measure(contender: Lineup['contenders'][number], { settings }: Bench, prefix: string) {
  const hasOwn = contender.name === 'own-container';
  const names = hasOwn ? { many: 40, quick: 2 } : { many: 2_000, quick: 20 };
  const measurement = await contender.measure('firstCalls', {
    className: hasOwn ? 'Plain' : 'Packed',
    callers,
    names: settings.isQuick ? names.quick : names.many,
    pauseMs: 0,
    prefix,
    // Packed ones cost little; containers would pile up.
    endsLater: hasOwn || contender.name !== holdfast.name,
  });
  await contender.endFirstCalls();
  return measurement;
}
