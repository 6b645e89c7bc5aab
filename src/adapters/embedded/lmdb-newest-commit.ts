import { openSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { RootDatabase } from 'lmdb';
import type { LmdbKey } from './lmdb-database.js';

/** Where the lock file tells its number, and what it begins with: of LMDB's own format, the same on all platforms with 64 bits. */
const toldAt = 8;
const lockFileMagic = 0xbeefc0de;

/** By device and inode; never closed, which would take this process's locks of the file from LMDB. */
const lockFiles = new Map<string, number>();

/** The environment behind a database: lmdb does not declare it. */
interface Environment {
  /** Of the newest of the commits that are in the file. */
  info(): { readonly lastTxnId: number };
}

/**
 * Which commit of an LMDB environment is the newest. LMDB tells it to all processes by a number in its lock file, upon which
 * transactions begin. A process that opens the environment sets that number to what it has read from the file some moments before:
 * what others have committed meanwhile would be overwritten by the next transaction, and seen by nobody. Here the number is
 * compared with the file itself (ADR 76).
 */
export class LmdbNewestCommit {
  readonly #db: RootDatabase<string, LmdbKey>;
  readonly #environment: Environment;
  readonly #lockFile: number;
  readonly #number = new BigUint64Array(1);

  /** @throws where the lock file is not one that this version of lmdb writes */
  constructor(db: RootDatabase<string, LmdbKey>, folder: string) {
    this.#db = db;
    this.#environment = (db as unknown as { readonly env: Environment }).env;
    this.#lockFile = openLockFile(join(folder, 'lock.mdb'));
  }

  /** Of the file. */
  get committed(): number {
    return this.#environment.info().lastTxnId;
  }

  /** Upon which transactions of all processes begin. */
  get told(): number {
    readSync(this.#lockFile, this.#number, 0, this.#number.byteLength, toldAt);
    return Number(this.#number[0]);
  }

  /**
   * Within a transaction that writes, before its first write: whether it has begun upon the newest commit. Where it has not, all that
   * begin after it do.
   */
  holds(): boolean {
    // Nobody else commits now, so what the file says stands.
    const { committed } = this;
    if (this.#db.getWriteTxnId() === committed + 1) return true;
    this.#number[0] = BigInt(committed);
    writeSync(this.#lockFile, this.#number, 0, this.#number.byteLength, toldAt);
    return false;
  }
}

function openLockFile(path: string): number {
  const { dev, ino } = statSync(path);
  const id = `${dev}:${ino}`;
  const known = lockFiles.get(id);
  if (known !== undefined) return known;
  const file = openSync(path, 'r+');
  lockFiles.set(id, file);
  const magic = new Uint32Array(1);
  readSync(file, magic, 0, magic.byteLength, 0);
  if (magic[0] !== lockFileMagic) throw new Error(`${path} is not a lock file of LMDB`);
  return file;
}
