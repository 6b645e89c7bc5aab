import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { RedisAddress } from './url.js';

const longestRedialMs = 1_000;
const redialAfterDeadlineMs = 100;

/** A client that is not connected yet, and that never sends anything twice. */
export function makeClient(address: RedisAddress, opTimeoutMs: number): Redis | Cluster {
  const shared = {
    replyMapping: 'legacy',
    // A change is asked for again by its caller, with its opId, never by the client (S4).
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: opTimeoutMs,
    // A connection whose other end vanished ends, so that the next operation gets a new one: after the deadline of the
    // operation that found out, whose error names it.
    socketTimeout: opTimeoutMs + redialAfterDeadlineMs,
    // The socket already joins the writes of one tick; the client's own pipelining waits a turn of the event loop and for
    // the pipeline before: measured slower at 1 and at 64 concurrent changes, with more CPU.
    enableAutoPipelining: false,
    ...(address.tls ? { tls: {} } : {}),
    ...(address.username === null ? {} : { username: address.username }),
    ...(address.password === null ? {} : { password: address.password }),
  } as const satisfies RedisOptions;
  if (address.kind === 'cluster') return makeCluster(address, shared);
  const options = {
    ...shared,
    db: address.db,
    lazyConnect: true,
    enableOfflineQueue: false,
    retryStrategy: redialDelayMs,
    // 1: dial again, without sending the command again.
    reconnectOnError: (error: Error) => (error.message.startsWith('READONLY') ? 1 : false),
  } as const satisfies RedisOptions;
  const [node] = address.nodes;
  if (address.kind === 'single' && node) return new Redis({ ...options, ...node });
  return new Redis({
    ...options,
    sentinels: [...address.nodes],
    name: address.masterName,
    role: 'master',
    sentinelRetryStrategy: redialDelayMs,
    ...(address.tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
    ...(address.sentinelPassword === null ? {} : { sentinelPassword: address.sentinelPassword }),
  });
}

function makeCluster(address: RedisAddress, redisOptions: RedisOptions & { readonly replyMapping: 'legacy' }): Cluster {
  return new Cluster([...address.nodes], {
    redisOptions,
    lazyConnect: true,
    // Operations wait for a node that is being dialled for the first time; those of a cluster that is away are refused by
    // the connection, so that nothing piles up here.
    enableOfflineQueue: true,
    scaleReads: 'master',
    clusterRetryStrategy: redialDelayMs,
    // Nothing that was in flight on a broken connection is sent again.
    retryDelayOnFailover: 0,
    slotsRefreshTimeout: 2_000,
    slotsRefreshInterval: 5_000,
  });
}

function redialDelayMs(attempt: number): number {
  return Math.min(25 * 2 ** Math.min(attempt, 10), longestRedialMs);
}
