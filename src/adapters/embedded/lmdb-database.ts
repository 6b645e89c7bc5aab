import { mkdirSync } from 'node:fs';
import { open, type RootDatabase } from 'lmdb';
import type { Clock } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { withDeadline } from '../deadline.js';
import { LmdbNewestCommit } from './lmdb-newest-commit.js';

export type LmdbKey = (string | number)[];

/** What the stores do with their records. */
export type LmdbTable = Pick<RootDatabase<string, LmdbKey>, 'get' | 'putSync' | 'removeSync' | 'getKeys' | 'getRange'>;

/** A server that another one may take over from. */
export interface ReplacedServer {
  /** Of the one that answers now. */
  readonly id: string;
  readonly quarantineMs: number;
}

/** A database in which one action runs at a time. The simulation has one of its own, which fails as it is told to. */
export interface Transactions {
  readonly clock: Clock;
  /** Null: its server is never replaced by one that knows less (S10); what it has lost after a crash, all of its host has. */
  readonly server: ReplacedServer | null;
  /** Runs `action` on the newest state, that of other processes included. It must not write. */
  read<T>(what: string, action: (db: LmdbTable) => T): Promise<T>;
  /**
   * Runs `action` alone among all processes; resolves once its writes are visible to them. It must decide everything
   * before its first write: what was written before a throw stays.
   */
  write<T>(what: string, action: (db: LmdbTable) => T): Promise<T>;
}

/**
 * An LMDB environment that several processes of this host may have open, each operation with a deadline.
 *
 * I1. Every transaction that writes has begun upon the newest commit, whoever opens the environment meanwhile.
 * I2. Every read sees what was committed before it.
 */
export class LmdbDatabase implements Transactions {
  readonly clock: Clock;
  readonly server = null;
  readonly #db: RootDatabase<string, LmdbKey>;
  readonly #newest: LmdbNewestCommit;
  readonly #path: string;
  readonly #opTimeoutMs: number;
  #isClosed = false;

  /** @throws Unavailable when the folder cannot be opened */
  constructor(settings: { readonly path: string; readonly opTimeoutMs: number; readonly clock: Clock }) {
    this.clock = settings.clock;
    this.#path = settings.path;
    this.#opTimeoutMs = settings.opTimeoutMs;
    try {
      mkdirSync(settings.path, { recursive: true, mode: 0o700 });
      this.#db = open<string, LmdbKey>({ path: settings.path, noSubdir: false, encoding: 'string' });
      this.#newest = new LmdbNewestCommit(this.#db, settings.path);
    } catch (cause) {
      throw this.#error('opening', cause);
    }
  }

  async read<T>(what: string, action: (db: LmdbTable) => T): Promise<T> {
    this.#checkOpen(what);
    try {
      const { committed } = this.#newest;
      if (this.#newest.told >= committed) {
        this.#db.resetReadTxn();
        const found = action(this.#db);
        if (this.#newest.told >= committed) return found;
      }
    } catch (cause) {
      throw this.#error(what, cause);
    }
    // I2: it would begin upon an older one, or one is just being made.
    return this.write(what, action);
  }

  async write<T>(what: string, action: (db: LmdbTable) => T): Promise<T> {
    this.#checkOpen(what);
    const waited = `${what}: another process has been writing to the store at ${this.#path} for ${this.#opTimeoutMs} ms`;
    try {
      return await withDeadline(this.#transact(action), {
        clock: this.clock,
        timeoutMs: this.#opTimeoutMs,
        onTimeout: () => new HoldfastError('Unavailable', waited, { outcome: 'unknown' }),
      });
    } catch (cause) {
      throw this.#error(what, cause);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#db.close();
  }

  /** Ends: only a process that opens the environment at just this moment makes it try again. */
  async #transact<T>(action: (db: LmdbTable) => T): Promise<T> {
    for (;;) {
      // I1: one that has written nothing is no commit.
      const done = await this.#db.transaction(() => (this.#newest.holds() ? { result: action(this.#db) } : null));
      if (done !== null) return done.result;
    }
  }

  #checkOpen(what: string): void {
    if (this.#isClosed) throw new HoldfastError('Unavailable', `${what}: the store is closed`, { retryable: false });
  }

  #error(what: string, cause: unknown): HoldfastError {
    if (isHoldfastError(cause)) return cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    const advice = 'check that the folder is writable and its disk has room';
    return new HoldfastError('Unavailable', `${what}: the store at ${this.#path} failed (${why}): ${advice}`, {
      outcome: 'unknown',
      cause,
    });
  }
}
