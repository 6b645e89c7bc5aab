/** Runs some of the seeds of a simulation, for the process that forked it: `from count step`, and perhaps the kind of worlds. */
import './engine/globals.js';

const [from = 1, count = 0, step = 1] = process.argv.slice(2).map(Number);
const { makePlan } = await import('./plan/make-plan.js');
const { isOfKind } = await import('./plan/world-kinds.js');
const { runWorld } = await import('./world.js');

for (let seed = from; seed < from + count; seed += step) {
  const plan = makePlan(String(seed));
  if (!isOfKind(plan, process.argv[5])) continue;
  const { lines: _lines, ...outcome } = await runWorld(plan);
  process.send?.(outcome);
}
process.disconnect();
