import { HoldfastError } from '../common/errors.js';
import type { InstanceKey, WorkerId } from '../common/ids.js';

/** Into how many parts pin events and indexes are split. */
export const shardCount = 16;

/** Requests of routers to a worker: `WorkerControl` → `WorkerControlReply`. */
export function workerControlSubject(account: string, workerId: WorkerId): string {
  return `${prefix(account)}.worker.${token('worker id', workerId)}.ctl`;
}

/** Where a worker publishes its `WorkerHeartbeat`. */
export function heartbeatSubject(account: string, workerId: WorkerId): string {
  return `${prefix(account)}.hb.${token('worker id', workerId)}`;
}

/** The heartbeats of all workers, to subscribe to. */
export function allHeartbeatsSubject(account: string): string {
  return `${prefix(account)}.hb.*`;
}

/** Asks every worker for a heartbeat now; the payload is empty. */
export function heartbeatRequestSubject(account: string): string {
  return `${prefix(account)}.hb-request`;
}

/** Where a router publishes its `RouterHeartbeat`. */
export function routerHeartbeatSubject(account: string, routerId: string): string {
  return `${prefix(account)}.router.${token('router id', routerId)}`;
}

/** The heartbeats of all routers, to subscribe to. */
export function allRouterHeartbeatsSubject(account: string): string {
  return `${prefix(account)}.router.*`;
}

/** Where a `PinEvent` of this instance is published. */
export function pinEventSubject(account: string, key: InstanceKey): string {
  return `${prefix(account)}.ev.pin.${shardOf(key)}`;
}

/** The pin events of all shards, to subscribe to. */
export function allPinEventsSubject(account: string): string {
  return `${prefix(account)}.ev.pin.*`;
}

/** Where workers publish the log lines of an app. Any name of an app becomes one token. */
export function logSubject(account: string, app: string): string {
  const escaped = Array.from(Buffer.from(app, 'utf8'), (byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9_-]/.test(character) ? character : `%${byte.toString(16).padStart(2, '0')}`;
  }).join('');
  return `${prefix(account)}.log.${token('app', escaped)}`;
}

/** The log lines of all apps, to subscribe to. */
export function allLogsSubject(account: string): string {
  return `${prefix(account)}.log.*`;
}

/** In [0, `shardCount`), even over instance keys. */
export function shardOf(key: InstanceKey): number {
  let hash = 0;
  for (let i = 0; i < key.length; i++) hash = (Math.imul(hash, 31) + key.charCodeAt(i)) | 0;
  return (hash >>> 0) % shardCount;
}

function prefix(account: string): string {
  return `hf.v1.${token('account', account)}`;
}

// A dot or wildcard in an id would publish to, or listen on, the subjects of others.
function token(what: string, text: string): string {
  if (/^[^\s.*>\p{Cc}]{1,255}$/u.test(text)) return text;
  throw new HoldfastError(
    'InvalidArgument',
    `${what} ${JSON.stringify(text)} cannot be part of a bus subject: expected 1 to 255 characters without dots, spaces, * and >`,
    { details: { what } },
  );
}
