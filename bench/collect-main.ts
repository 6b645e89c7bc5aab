import { openInspector } from './processes/inspector.js';
import { followParent, tellParent } from './processes/parent.js';

/** Makes other Node processes give back what they do not use, as they would by and by. Arguments: their pids. */
async function collect(pid: number): Promise<void> {
  const inspector = await openInspector(pid);
  // What the first one finalizes the second one finds dead.
  for (let round = 0; round < 2; round += 1) await inspector.post('HeapProfiler.collectGarbage');
  await inspector.close();
}

followParent();
for (const pid of process.argv.slice(2)) {
  await collect(Number(pid)).catch((error: NodeJS.ErrnoException) => {
    // Containers come and go.
    if (error.code !== 'ESRCH') throw error;
  });
}
tellParent('collected');
