/** Runs some of the seeds of a simulation, for the process that forked it: `from count step`. */
import './engine/globals.js';

const [from = 1, count = 0, step = 1] = process.argv.slice(2).map(Number);
const { makePlan } = await import('./plan/make-plan.js');
const { runWorld } = await import('./world.js');

for (let seed = from; seed < from + count; seed += step) {
  const { lines: _lines, ...outcome } = await runWorld(makePlan(String(seed)));
  process.send?.(outcome);
}
process.disconnect();
