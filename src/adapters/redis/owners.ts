import { Cluster } from 'ioredis';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';
import { tagOfSlot } from './slots.js';

/** What a script is told of the server that it is sent to. */
export interface Asked {
  /** Of the owner of the slot. */
  readonly key: string;
  /** The run that this process met there last; empty: none. */
  readonly met: string;
  /** No server but the one that was not in quarantine can be at the other end of the connection. */
  readonly isKnown: boolean;
  answered(run: string, isQuarantined: boolean): void;
}

/**
 * Which runs of servers this process has met, slot by slot (S10). The record beside the data says whose it was last; what this
 * process remembers tells a store that has lost everything from a new one.
 */
export class Owners {
  readonly quarantineMs: number;
  readonly #redis: RedisConnection;
  // One entry, or as many as a Cluster has slots.
  readonly #met = new Map<string, string>();
  /** Where there is one server: the connection over which it was found out of quarantine. */
  #known: unknown = null;

  constructor(redis: RedisConnection, quarantineMs: number) {
    this.#redis = redis;
    this.quarantineMs = quarantineMs;
  }

  /** For a script that is sent in this turn of the event loop. */
  ask(key: string): Asked {
    const { client, isCluster } = this.#redis;
    const owner = redisKeys.owner(isCluster ? tagOfSlot(key) : null);
    const stream = client instanceof Cluster ? null : client.stream;
    return {
      key: owner,
      met: this.#met.get(owner) ?? '',
      isKnown: stream !== null && this.#known === stream,
      answered: (run, isQuarantined) => {
        this.#met.set(owner, run);
        if (!isQuarantined) this.#known = stream;
      },
    };
  }
}
