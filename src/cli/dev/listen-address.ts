import { createServer } from 'node:net';

const firstPort = 7_070;
const triedPorts = 20;

/** `127.0.0.1:7070`, or the next port that is free. */
export async function freeListenAddress(): Promise<string> {
  for (let port = firstPort; port < firstPort + triedPorts; port++) if (await isFree(port)) return `127.0.0.1:${port}`;
  return '127.0.0.1:0';
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
