import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

/** Another host on a network of its own with this one: a network namespace with a server in it. */
export interface Neighbour {
  /** Of the other host: HTTP on port 8080, an echo on 8081. */
  readonly address: string;
  /** Of this host, on that network. */
  readonly own: string;
}

const httpPort = 8080;
const echoPort = 8081;
export const ports = { http: httpPort, echo: echoPort };

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
}

/** Ends with the test file. */
export async function startNeighbour(): Promise<Neighbour> {
  const name = `hf${process.pid % 100_000}`;
  const subnet = `10.231.${process.pid % 250}`;
  const [own, address] = [`${subnet}.1`, `${subnet}.2`];
  afterAll(() => {
    spawnSync('ip', ['netns', 'del', name]);
    spawnSync('ip', ['link', 'del', `${name}a`]);
  });
  ip('netns', 'add', name);
  ip('link', 'add', `${name}a`, 'type', 'veth', 'peer', 'name', `${name}b`, 'netns', name);
  ip('addr', 'add', `${own}/24`, 'dev', `${name}a`);
  ip('link', 'set', `${name}a`, 'up');
  ip('-n', name, 'addr', 'add', `${address}/24`, 'dev', `${name}b`);
  ip('-n', name, 'link', 'set', `${name}b`, 'up');
  const program = fileURLToPath(new URL('./fixtures/neighbour.mjs', import.meta.url));
  const server = spawn('ip', ['netns', 'exec', name, process.execPath, program, address], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  afterAll(async () => {
    const ended = once(server, 'exit');
    server.stdin.end();
    await ended;
  });
  await once(server.stdout, 'data');
  return { address, own };
}
