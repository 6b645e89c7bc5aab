import { writeFile } from 'node:fs/promises';
import { followParent, tellParent } from './processes/parent.js';

/**
 * Profiles another Node process, whatever started it: SIGUSR1 makes it open its inspector, always on the same port, so one
 * process at a time. Arguments: its pid, the `.cpuprofile` to write. Ends the profile at the first message of its parent.
 */
const inspectorUrl = 'http://127.0.0.1:9229/json/list';
const attempts = 100;
const attemptEveryMs = 20;
const samplingIntervalUs = 200;

interface Inspector {
  post(method: string, params?: object): Promise<Record<string, unknown>>;
}

async function openInspector(pid: number): Promise<Inspector> {
  const socket = new WebSocket(await inspectorAddress(pid));
  const answers = new Map<number, (result: Record<string, unknown>) => void>();
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', reject);
  });
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data)) as { id?: number; result?: Record<string, unknown> };
    if (message.id !== undefined) answers.get(message.id)?.(message.result ?? {});
  });
  return {
    post: (method, params = {}) =>
      new Promise((resolve) => {
        const id = answers.size + 1;
        answers.set(id, resolve);
        socket.send(JSON.stringify({ id, method, params }));
      }),
  };
}

async function inspectorAddress(pid: number): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    // Again, since the first time the port may still have been another's; where it is open this does nothing.
    process.kill(pid, 'SIGUSR1');
    try {
      const [page] = (await (await fetch(inspectorUrl)).json()) as { webSocketDebuggerUrl: string }[];
      if (page !== undefined) return page.webSocketDebuggerUrl;
    } catch (error) {
      if (attempt === attempts) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, attemptEveryMs));
  }
}

followParent();
const [pid = '', file = ''] = process.argv.slice(2);
const inspector = await openInspector(Number(pid));
await inspector.post('Profiler.enable');
await inspector.post('Profiler.setSamplingInterval', { interval: samplingIntervalUs });
await inspector.post('Profiler.start');
process.once('message', () => {
  void inspector.post('Profiler.stop').then(async ({ profile }) => {
    await writeFile(file, JSON.stringify(profile));
    // Frees the port for the next process.
    void inspector.post('Runtime.evaluate', { expression: 'setImmediate(() => process._debugEnd())' });
    setTimeout(() => tellParent('written'), attemptEveryMs);
  });
});
tellParent('profiling');
