import type { LmdbKey, Transactions } from '../../../src/adapters/embedded/lmdb-database.js';
import { quarantineLeft } from '../../../src/adapters/embedded/lmdb-owner.js';
import { storeIn } from '../../../src/adapters/embedded/lmdb-records.js';
import { decodeProgress } from '../../../src/adapters/records/call-record.js';
import { decodeStateRecord } from '../../../src/adapters/records/state-record.js';
import { type BootId, instanceKey } from '../../../src/common/ids.js';
import type { Store } from '../../../src/common/ports/store.js';
import type { CallProgress } from '../../../src/common/spawned-call.js';
import type { SimProcess } from '../engine/sim-process.js';
import type { Network } from '../net/network.js';
import { account } from '../parts/cluster-context.js';
import { MemoryTable } from './memory-table.js';

/** Chances of an operation that meets no other fault. */
export interface StoreTrouble {
  /** It never arrives. */
  lostRequest: number;
  /** It happens, and nobody hears of it. */
  lostReply: number;
  /** It takes up to this much longer, ms. */
  slowness: number;
}

/**
 * The store's server: the code of the embedded store over records in memory, one operation after the other. It can be away, lose
 * requests and replies, and lose what was written last.
 */
export class StoreServer {
  readonly process: SimProcess;
  readonly network: Network;
  readonly store: Omit<Store, 'close'>;
  readonly records: MemoryTable;
  readonly trouble: StoreTrouble;
  /** Refuses all, as a server that is not there. */
  isDown = false;
  /** The one that answers, by its number. */
  servers = 1;
  #forgotUntil = 0;
  readonly #quarantineMs: number;

  constructor(
    process: SimProcess,
    network: Network,
    { trouble, quarantineMs }: { readonly trouble: StoreTrouble; readonly quarantineMs: number },
  ) {
    this.process = process;
    this.network = network;
    this.trouble = trouble;
    this.#quarantineMs = quarantineMs;
    this.records = new MemoryTable(() => network.timeline.now);
    const { table } = this.records;
    const number = (): number => this.servers;
    const transactions: Transactions = {
      clock: process.clock,
      server: {
        quarantineMs,
        get id() {
          return `server-${number()}`;
        },
      },
      read: async (_what, action) => action(table),
      write: async (_what, action) => action(table),
    };
    this.store = storeIn(transactions);
    // Somebody has used it before.
    quarantineLeft(table, transactions);
  }

  /** Whether the boot has its lease now, in truth; a boot that may make it anew has it. */
  isLeaseHeld(bootId: BootId): boolean {
    if (this.process.clock.monotonic() < this.#forgotUntil) return true;
    const record = this.records.get(['lease', bootId]);
    if (record === undefined) return false;
    const { phase, expiresAt = 0 } = JSON.parse(record) as { readonly phase: string; readonly expiresAt?: number };
    return phase === 'held' && expiresAt > this.process.clock.monotonic();
  }

  /** Whether durable state has that key now, in truth. @param instance `Class/id` */
  hasState(instance: string, name: string): boolean {
    const [className = '', id = ''] = instance.split('/');
    const key = instanceKey({ account, app: 'sim', className, id });
    return this.records.get(['state', key, Buffer.from(name, 'utf8').toString('hex')]) !== undefined;
  }

  /** For when the alarm of an instance is set, in truth; null: there is none. @param instance `Class/id` */
  alarmOf(instance: string): number | null {
    const [className = '', id = ''] = instance.split('/');
    const key = instanceKey({ account, app: 'sim', className, id });
    const record = this.records.get(['state-record', key]);
    return record === undefined ? null : (decodeStateRecord(record).alarm?.atMs ?? null);
  }

  /** What has become of a spawned call, in truth; null: it is not recorded. */
  callOf(id: string): CallProgress | null {
    const record = this.records.get(['call', id, 'progress']);
    return record === undefined ? null : decodeProgress(record);
  }

  /** Another server takes over, which has not heard of the last changes. @returns the keys of those */
  failOver(lagMs: number): LmdbKey[] {
    const { timeline } = this.network;
    const lost = this.records.forgetSince(timeline.now - lagMs);
    this.servers += 1;
    this.#forgotUntil = this.process.clock.monotonic() + this.#quarantineMs;
    timeline.note(this.process, 'takes over without', lost.map((key) => key.slice(0, 2).join(':')).join(' '));
    return lost;
  }
}
