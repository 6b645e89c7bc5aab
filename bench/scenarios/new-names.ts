import { tcpContainer } from '../lineup/contenders.js';
import type { Contender } from '../processes/contender.js';

/** Of a class whose instances share a container: a name costs messages and no process. */
export const packedClass = 'Packed';
/** They go in step, since names that come together travel together. */
export const namingCallers = 8;
/** Of one caller, for each of several: what runs once a message runs seldom among many names. */
const lonelyShare = 0.1;
/** Who has no names makes connections, which cannot all stay. */
const namesAtOnce = 1_000;

/** New names of several callers and then fewer of one, each called once and not counted. */
export async function warmUpNames(contender: Contender, names: number): Promise<void> {
  const loads = [
    { callers: namingCallers, names },
    { callers: 1, names: Math.ceil(names * lonelyShare) },
  ];
  for (const { callers, names: count } of loads) {
    for (let from = 0; from < count; from += namesAtOnce) {
      await contender.measure('firstCalls', {
        ...{ className: packedClass, callers, names: Math.min(namesAtOnce, count - from), pauseMs: 0 },
        ...{ prefix: `warm-up-${callers}-${from}`, endsLater: contender.name === tcpContainer.name },
      });
      await contender.endFirstCalls();
    }
  }
}
