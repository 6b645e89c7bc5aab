import { Cluster, type Redis } from 'ioredis';
import type { Clock } from '../../common/clock.js';
import { RedisConnection } from './connection.js';

/** A Redis server that takes changes, as it describes itself. */
export interface RedisServerInfo {
  /** `host:port` */
  readonly name: string;
  /** The fields of INFO. */
  readonly info: ReadonlyMap<string, string>;
  /** `cluster_state` of a node of a cluster. */
  readonly clusterState: string | null;
  /** Settings that INFO does not tell; null where the user may not read them. */
  readonly config: Readonly<Record<'appendfsync' | 'save' | 'maxLag', string>> | null;
  /** Its clock, less that of this machine. */
  readonly clockAheadMs: number;
}

const withinMs = 5_000;

/** The server, or every master of a cluster. @throws InvalidArgument for the url, Unavailable */
export async function readRedisServers(options: {
  readonly url: string;
  readonly clock: Clock;
}): Promise<RedisServerInfo[]> {
  const connection = await RedisConnection.open({ ...options, opTimeoutMs: withinMs });
  try {
    return await connection.run('reading what the servers say of themselves', (client) => {
      const nodes = client instanceof Cluster ? client.nodes('master') : [client];
      return Promise.all(nodes.map((node) => readServer(node, options.clock, connection.isCluster)));
    });
  } finally {
    await connection.close();
  }
}

async function readServer(node: Redis, clock: Clock, isInCluster: boolean): Promise<RedisServerInfo> {
  const askedAtMs = clock.now();
  const [seconds = 0, micros = 0] = (await node.time()).map(Number);
  const hereMs = (askedAtMs + clock.now()) / 2;
  const [info, appendfsync, save, maxLag, cluster] = await Promise.all([
    node.info(),
    setting(node, 'appendfsync'),
    setting(node, 'save'),
    setting(node, 'min-replicas-max-lag'),
    isInCluster ? node.cluster('INFO') : null,
  ]);
  return {
    name: `${node.options.host}:${node.options.port}`,
    info: fieldsOf(info),
    clusterState: cluster === null ? null : (fieldsOf(String(cluster)).get('cluster_state') ?? 'unknown'),
    config: appendfsync === null || save === null || maxLag === null ? null : { appendfsync, save, maxLag },
    clockAheadMs: Math.round(seconds * 1_000 + micros / 1_000 - hereMs),
  };
}

/** Null where the user may not ask, as with the rights that a worker needs. */
async function setting(node: Redis, name: string): Promise<string | null> {
  try {
    const reply = (await node.config('GET', name)) as unknown[];
    return String(reply[1] ?? '');
  } catch {
    return null;
  }
}

function fieldsOf(text: string): ReadonlyMap<string, string> {
  const pairs = text.split('\r\n').flatMap((line): [string, string][] => {
    const at = line.indexOf(':');
    return at < 1 || line.startsWith('#') ? [] : [[line.slice(0, at), line.slice(at + 1)]];
  });
  return new Map(pairs);
}
