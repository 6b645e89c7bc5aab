import { writeFile } from 'node:fs/promises';
import { openInspector } from './processes/inspector.js';
import { followParent, tellParent } from './processes/parent.js';

/** Profiles another Node process. Arguments: its pid, the `.cpuprofile` to write. Ends at the first message of its parent. */
const samplingIntervalUs = 200;

followParent();
const [pid = '', file = ''] = process.argv.slice(2);
const inspector = await openInspector(Number(pid));
await inspector.post('Profiler.enable');
await inspector.post('Profiler.setSamplingInterval', { interval: samplingIntervalUs });
await inspector.post('Profiler.start');
process.once('message', () => {
  void inspector.post('Profiler.stop').then(async ({ profile }) => {
    await writeFile(file, JSON.stringify(profile));
    await inspector.close();
    tellParent('written');
  });
});
tellParent('profiling');
