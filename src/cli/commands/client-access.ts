import { HoldfastError } from '../../common/errors.js';
import { Client } from '../../sdk/client.js';
import type { CommandContext } from './command-context.js';
import type { Connection } from './connection.js';

/** Connects an SDK client, works, and closes it whatever happens. */
export async function withClient<T>(connection: Connection, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(connection);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** For work that takes no signal of its own: Ctrl-C ends the waiting for it. @throws Cancelled */
export async function unlessStopped<T>(work: Promise<T>, { signal }: CommandContext): Promise<T> {
  let stop = (): void => undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(new HoldfastError('Cancelled', 'stopped', { outcome: 'unknown' }));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
