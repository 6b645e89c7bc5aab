import type { BootId, InstanceKey } from '../../common/ids.js';
import type { LiveId } from '../../common/ports/live-store.js';
import type { PinScope } from '../../common/ports/store.js';
import type { CallId } from '../../common/spawned-call.js';

/** The names of all keys. Names that people choose are escaped: a `:` or `{` in one would name the key of another. */
export const redisKeys = {
  pin: (key: InstanceKey) => `hf:pin:{${key}}`,
  /** Values by key, and by the empty key what was committed last. */
  state: (key: InstanceKey) => `hf:state:{${key}}`,
  /** The keys of `state` in their order. */
  stateKeys: (key: InstanceKey) => `hf:state-keys:{${key}}`,
  call: (key: InstanceKey, id: CallId) => `hf:call:{${key}}:${id}`,
  /** Spawned calls that are open, their places by id; by the empty id what was recorded last. */
  calls: (key: InstanceKey) => `hf:calls:{${key}}`,
  /** Those that have ended, by when. */
  endedCalls: (key: InstanceKey) => `hf:calls-ended:{${key}}`,
  /** Instances that somebody has to look at, by when. */
  alarms: (account: string, shard: number) => `hf:alarms:${escaped(account)}:${shard}`,
  handle: (key: InstanceKey) => `hf:handle:{${key}}`,
  index: (scope: PinScope, shard: number) =>
    `hf:index:${escaped(scope.account)}:${escaped(scope.app)}:${escaped(scope.className)}:${shard}`,
  /** Which run of a server had a slot last; without Cluster there is one slot. */
  owner: (slotTag: string | null) => (slotTag === null ? 'hf:owner' : `hf:owner:{${slotTag}}`),
  lease: (bootId: BootId) => `hf:lease:${bootId}`,
  app: (account: string, app: string) => `hf:app:${escaped(account)}:${escaped(app)}`,
  /** Names of the account's apps. */
  apps: (account: string) => `hf:apps:${escaped(account)}`,
  signingKeys: (account: string) => `hf:keys:${escaped(account)}`,
  tokens: (account: string) => `hf:keys:${escaped(account)}:tokens`,
  secrets: (account: string) => `hf:sec:${escaped(account)}`,
  /** All keys of an account's volumes share a slot. */
  volumes: (account: string) => volumeKey(account),
  volumeLeases: (account: string) => volumeKey(account, 'leases'),
  volumeHosts: (account: string) => volumeKey(account, 'hosts'),
  volumeHeads: (account: string) => volumeKey(account, 'heads'),
  commits: (account: string, volumeId: string) => volumeKey(account, `commits:${escaped(volumeId)}`),
  history: (account: string, volumeId: string) => volumeKey(account, `history:${escaped(volumeId)}`),
  holds: (account: string) => volumeKey(account, 'holds'),
  heldRoots: (account: string) => volumeKey(account, 'held'),
  reserved: (account: string, holdId: string) => volumeKey(account, `reserved:${escaped(holdId)}`),
  sweep: (account: string) => volumeKey(account, 'sweep'),
  condemned: (account: string) => volumeKey(account, 'condemned'),
  sinceSweep: (account: string) => volumeKey(account, 'since-sweep'),
  /** Records of a network file system by key. */
  live: ({ account, id }: LiveId) => `hf:live:{${escaped(account)}:${escaped(id)}}`,
  /** The keys of `live` in their order. */
  liveKeys: ({ account, id }: LiveId) => `hf:live-keys:{${escaped(account)}:${escaped(id)}}`,
};

function volumeKey(account: string, part?: string): string {
  return `hf:vol:{${escaped(account)}}${part === undefined ? '' : `:${part}`}`;
}

function escaped(name: string): string {
  return encodeURIComponent(name);
}
