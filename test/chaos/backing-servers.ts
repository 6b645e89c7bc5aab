import { mkdir, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from '../servers.js';
import type { Proc } from './processes.js';
import type { Site } from './site.js';

export interface BackingSetup {
  /** Two replicas of Redis and three Sentinels, with the settings of docs/operations.md; else one Redis. */
  readonly sentinel: boolean;
  /** One, or a cluster. */
  readonly natsNodes: number;
}

/** NATS and Redis of a world. */
export interface BackingServers {
  /** The master, as it was at the beginning. */
  readonly redis: Proc;
  readonly redisFolder: string;
  /** Of that server itself. */
  readonly redisUrl: string;
  /** As clients are told it. */
  readonly storeUrl: string;
  readonly nats: readonly Proc[];
  readonly natsUrl: string;
}

interface Node {
  readonly name: string;
  readonly ip: string;
  readonly port: number;
}

const sentinels = 3;
const replicas = 2;

export async function startBackingServers(site: Site, setup: BackingSetup): Promise<BackingServers> {
  const master = await nodeOf(site, 'redis1');
  const more = setup.sentinel ? ['--min-replicas-to-write', '1', '--min-replicas-max-lag', '2'] : [];
  const redis = await startRedis(site, master, more);
  const redisUrl = `redis://${master.ip}:${master.port}`;
  const storeUrl = setup.sentinel ? await startSentinels(site, master, more) : redisUrl;
  const { nats, natsUrl } = await startNats(site, setup.natsNodes);
  return { redis, redisFolder: site.fileOf(master.name), redisUrl, storeUrl, nats, natsUrl };
}

async function nodeOf(site: Site, name: string): Promise<Node> {
  return { name, ip: site.place(name), port: await freePort() };
}

async function startRedis(site: Site, { name, ip, port }: Node, more: readonly string[]): Promise<Proc> {
  const folder = site.fileOf(name);
  await mkdir(folder, { recursive: true });
  const settings = ['--port', String(port), '--bind', ip, '--protected-mode', 'no', '--dir', folder, '--save', ''];
  const command = ['redis-server', ...settings, '--appendonly', 'yes', ...more];
  return await site.start(name, { command, ready: /Ready to accept connections/ });
}

async function startSentinels(site: Site, master: Node, more: readonly string[]): Promise<string> {
  for (let i = 0; i < replicas; i++) {
    const replica = await nodeOf(site, `redis${i + 2}`);
    await startRedis(site, replica, [...more, '--replicaof', master.ip, String(master.port)]);
  }
  const nodes: Node[] = [];
  for (let i = 0; i < sentinels; i++) nodes.push(await nodeOf(site, `sentinel${i + 1}`));
  // Ready when it knows all the others, so all at once.
  const ready = /(?=.*\+slave .*\+slave )(?=.*\+sentinel .*\+sentinel )/s;
  await Promise.all(
    nodes.map(async ({ name, ip, port }) => {
      const file = site.fileOf(`${name}.conf`);
      const lines = [
        ...[`port ${port}`, `bind ${ip}`, 'protected-mode no', `dir ${site.folder}`],
        `sentinel monitor main ${master.ip} ${master.port} 2`,
        ...['sentinel down-after-milliseconds main 2000', 'sentinel failover-timeout main 5000'],
      ];
      await writeFile(file, `${lines.join('\n')}\n`);
      await site.start(name, { command: ['redis-server', file, '--sentinel'], ready });
    }),
  );
  await untilReplicated(master);
  return `redis+sentinel://${nodes.map(({ ip, port }) => `${ip}:${port}`).join(',')}/main`;
}

/** Before that the master takes no writes: its replicas have to say first that they follow. */
async function untilReplicated({ ip, port }: Node): Promise<void> {
  const redis = new Redis(port, ip);
  try {
    while (!(await redis.info('replication')).includes(`min_slaves_good_slaves:${replicas}`)) await delay(50);
  } finally {
    redis.disconnect();
  }
}

async function startNats(site: Site, count: number): Promise<Pick<BackingServers, 'nats' | 'natsUrl'>> {
  const nodes: (Node & { readonly route: string })[] = [];
  for (let i = 0; i < count; i++) {
    const node = await nodeOf(site, `nats${i + 1}`);
    nodes.push({ ...node, route: `nats://${node.ip}:${await freePort()}` });
  }
  const routes = nodes.map(({ route }) => route).join(',');
  const nats: Proc[] = [];
  for (const { name, ip, port, route } of nodes) {
    const clustered = count === 1 ? [] : ['--cluster_name', 'chaos', '--cluster', route, '--routes', routes];
    const command = ['nats-server', '--addr', ip, '--port', String(port), ...clustered];
    nats.push(await site.start(name, { command, ready: /Server is ready/ }));
  }
  return { nats, natsUrl: `nats://${nodes.map(({ ip, port }) => `${ip}:${port}`).join(',')}` };
}
