import { join } from 'node:path';
import workerd from 'workerd';
import { openHttpClient } from './http-client.mjs';
import { startProgram } from './programs.mjs';

/** A Durable Object class in workerd, as its production builds run it, without storage. */
export async function serve(folder) {
  const config = join(import.meta.dirname, 'workerd.capnp');
  const server = startProgram('workerd', { file: workerd.default, args: ['serve', config, '--control-fd=3'], folder });
  const listens = new Promise((resolve) => server.told.once('data', (line) => resolve(JSON.parse(line))));
  const { port } = await Promise.race([listens, server.ended]);
  return { address: `http://127.0.0.1:${port}`, processes: [[server.pid, 'server']] };
}

export async function connect(address) {
  const client = openHttpClient(address);
  return {
    call: (name, value) => client.post(`/${name}`, { body: value }),
    executed: async (name) => Number(await client.post(`/${name}?executed`, { body: '' })),
    close: client.close,
  };
}
