import { Client } from '../../sdk/client.js';
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
