/** Churn with a fault every ten seconds: `npm run soak -- --minutes N`. See docs/reliability.md. */
import { parseArgs } from 'node:util';
import { keepResult, resultOfSoak, showResult, writeReport } from './results.js';
import { runSoak } from './soak.js';
import { World } from './world.js';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, json: { type: 'string' }, report: { type: 'string' } },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error(`--minutes is ${values.minutes}: expected a number above zero`);

World.closeOnSignals();
const result = resultOfSoak(await runSoak(minutes));
showResult(result);
if (values.json !== undefined) keepResult(values.json, result);
if (values.report === 'docs') writeReport([result], []);
if (!result.isGood) process.exitCode = 1;
