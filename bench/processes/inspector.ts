/**
 * Talks to the inspector of another Node process, whatever started it: SIGUSR1 makes it open one, always on the same port, so
 * one process at a time. Needs `--experimental-websocket` on Node 20.
 */
const inspectorUrl = 'http://127.0.0.1:9229/json/list';
const patienceMs = 30_000;
const attemptEveryMs = 20;

export interface Inspector {
  post(method: string, params?: object): Promise<Record<string, unknown>>;
  /** Frees the port for the next process. */
  close(): Promise<void>;
}

/** @throws where it does not answer within 30 s; `ESRCH` where there is no such process */
export async function openInspector(pid: number): Promise<Inspector> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    // Again, since the port may still have been another's; where it is open this does nothing.
    process.kill(pid, 'SIGUSR1');
    try {
      const inspector = await attach(pid);
      if (inspector !== null) return inspector;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    if (performance.now() > deadline) throw new Error(`port 9229 is the inspector of another process than ${pid}`);
    await new Promise((resolve) => setTimeout(resolve, attemptEveryMs));
  }
}

/** Null: whoever answers on the port is not that process. */
async function attach(pid: number): Promise<Inspector | null> {
  const [page] = (await (await fetch(inspectorUrl)).json()) as { webSocketDebuggerUrl: string }[];
  if (page === undefined) return null;
  const socket = new WebSocket(page.webSocketDebuggerUrl);
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', () => reject(new Error(`${page.webSocketDebuggerUrl} cannot be opened`)));
  });
  const closed = new Promise((resolve) => socket.addEventListener('close', resolve));
  const post = poster(socket);
  const { result } = await post('Runtime.evaluate', { expression: 'process.pid' });
  if ((result as { value?: unknown } | undefined)?.value !== pid) {
    socket.close();
    await closed;
    return null;
  }
  return {
    post,
    close: async () => {
      // Its end is what ends the connection, so there may be no answer.
      void post('Runtime.evaluate', { expression: 'setImmediate(() => process._debugEnd())' });
      await closed;
    },
  };
}

/** Answers that never come, of a process that ended, resolve empty. */
function poster(socket: WebSocket): Inspector['post'] {
  const answers = new Map<number, (result: Record<string, unknown>) => void>();
  let lastId = 0;
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data)) as { id?: number; result?: Record<string, unknown> };
    if (message.id === undefined) return;
    answers.get(message.id)?.(message.result ?? {});
    answers.delete(message.id);
  });
  socket.addEventListener('close', () => {
    for (const answer of answers.values()) answer({});
  });
  return (method, params = {}) =>
    new Promise((resolve) => {
      lastId += 1;
      answers.set(lastId, resolve);
      socket.send(JSON.stringify({ id: lastId, method, params }));
    });
}
