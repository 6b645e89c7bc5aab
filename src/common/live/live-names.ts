import { HoldfastError } from '../errors.js';
import type { LiveId } from '../ports/live-store.js';
import { isVolumeName } from '../volumes/volume-name.js';
import { encodeRecord, liveKeys, newInode, rootIno } from './inode.js';
import { LiveFiles } from './live-files.js';
import { type LiveParts, LiveRecords } from './live-records.js';

/** A network file system by its name. */
export interface LiveName {
  readonly id: string;
  /** Null: it stays until it is deleted. */
  readonly expiresAtMs: number | null;
}

const directoryMode = 0o755;
const pageNames = 500;
const nameKey = (name: string): string => `name/${name}`;
const deadKey = (id: string): string => `dead/${id}`;

/** The network file systems of an account, by name. */
export class LiveNames {
  readonly #parts: LiveParts;
  readonly #account: string;
  readonly #records: LiveRecords;

  constructor(parts: LiveParts, account: string) {
    this.#parts = parts;
    this.#account = account;
    this.#records = new LiveRecords(parts, { account, id: 'names' });
  }

  files(id: string): LiveFiles {
    return new LiveFiles(this.#parts, this.#idOf(id));
  }

  /** Null: there is none of that name. */
  async find(name: string): Promise<LiveName | null> {
    const [value = null] = await this.#records.read(nameKey(checkedLiveName(name)));
    const found = value === null ? null : parse(value);
    return found !== null && this.#isOver(found) ? null : found;
  }

  /** @throws NotFound */
  async existing(name: string): Promise<LiveName> {
    const found = await this.find(name);
    if (found !== null) return found;
    throw new HoldfastError(
      'NotFound',
      `there is no network file system ${name}: \`holdfast nfs create\` makes one, or \`createIfMissing\` of NetworkFileSystem.fromName`,
      { details: { name } },
    );
  }

  /** Or the one that has the name. @param ttlMs null: it stays */
  async make(name: string, ttlMs: number | null): Promise<LiveName> {
    const before = await this.find(name);
    if (before !== null) return before;
    const now = this.#records.nowMs();
    const made: LiveName = { id: this.#records.newId(), expiresAtMs: ttlMs === null ? null : now + ttlMs };
    const root = encodeRecord(newInode('directory', directoryMode, now));
    await this.#parts.store.commit(this.#idOf(made.id), [], [{ key: liveKeys.inode(rootIno), value: root }]);
    return await this.#records.change(async () => {
      const key = nameKey(name);
      const [value = null] = await this.#records.read(key);
      const found = value === null ? null : parse(value);
      const isFree = found === null || this.#isOver(found);
      const gone = found !== null && isFree ? found : null;
      // Somebody else's came first: this one was never seen.
      const dead = isFree ? gone?.id : made.id;
      return {
        seen: [{ key, value }],
        writes: [
          ...(isFree ? [{ key, value: JSON.stringify(made) }] : []),
          ...(dead === undefined ? [] : [{ key: deadKey(dead), value: String(now) }]),
        ],
        result: isFree ? made : found,
      };
    });
  }

  /** False: it is gone, or another one. */
  async extend(name: string, id: string, ttlMs: number): Promise<boolean> {
    return await this.#records.change(async () => {
      const key = nameKey(name);
      const [value = null] = await this.#records.read(key);
      const found = value === null ? null : parse(value);
      if (found?.id !== id || this.#isOver(found)) return { seen: [], writes: [], result: false };
      const next: LiveName = { id, expiresAtMs: this.#records.nowMs() + ttlMs };
      return { seen: [{ key, value }], writes: [{ key, value: JSON.stringify(next) }], result: true };
    });
  }

  /** What it holds goes with the next sweep. False: there was none. @param id only this one; empty: whichever has the name */
  async delete(name: string, id: string): Promise<boolean> {
    return await this.#records.change(async () => {
      const key = nameKey(checkedLiveName(name));
      const [value = null] = await this.#records.read(key);
      const found = value === null ? null : parse(value);
      if (found === null || (id !== '' && found.id !== id)) return { seen: [], writes: [], result: false };
      const dead = { key: deadKey(found.id), value: String(this.#records.nowMs()) };
      return { seen: [{ key, value }], writes: [{ key, value: null }, dead], result: true };
    });
  }

  async *all(): AsyncGenerator<{ readonly name: string } & LiveName, void, undefined> {
    for await (const { key, value } of this.#entries('name/'))
      yield { name: key.slice('name/'.length), ...parse(value) };
  }

  /** The names of all but those whose client is gone. */
  async *living(): AsyncGenerator<string, void, undefined> {
    for await (const { name, ...found } of this.all()) if (!this.#isOver(found)) yield name;
  }

  /** The names of those whose client is gone; they are deleted then. */
  async expire(): Promise<string[]> {
    const gone: string[] = [];
    for await (const { name, id, expiresAtMs } of this.all())
      if (this.#isOver({ id, expiresAtMs }) && (await this.delete(name, id))) gone.push(name);
    return gone;
  }

  /** Those that were deleted, and still have something. */
  async *dead(): AsyncGenerator<string, void, undefined> {
    for await (const { key } of this.#entries('dead/')) yield key.slice('dead/'.length);
  }

  async buried(id: string): Promise<void> {
    await this.#parts.store.commit(this.#records.id, [], [{ key: deadKey(id), value: null }]);
  }

  async *#entries(prefix: string) {
    for (let after: string | null = null; ; ) {
      const page = await this.#parts.store.list(this.#records.id, { prefix, after, limit: pageNames });
      yield* page;
      after = page.at(-1)?.key ?? null;
      if (after === null || page.length < pageNames) return;
    }
  }

  #isOver({ expiresAtMs }: LiveName): boolean {
    return expiresAtMs !== null && expiresAtMs <= this.#records.nowMs();
  }

  #idOf(id: string): LiveId {
    return { account: this.#account, id };
  }
}

/** @throws InvalidArgument */
export function checkedLiveName(name: unknown): string {
  if (isVolumeName(name)) return name;
  throw new HoldfastError(
    'InvalidArgument',
    'the name of a network file system must be of letters, digits, ., _ and -, begin with a letter or digit, and have at most 128',
  );
}

function parse(value: string): LiveName {
  return JSON.parse(value) as LiveName;
}
