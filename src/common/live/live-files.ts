import type { LiveId, LiveValue } from '../ports/live-store.js';
import {
  changed,
  encodeRecord,
  type Inode,
  liveKeys,
  type NameRecord,
  newInode,
  parseInode,
  parseName,
  rootIno,
} from './inode.js';
import { LiveContent } from './live-content.js';
import { refuseLive } from './live-error.js';
import { type LiveParts, LiveRecords } from './live-records.js';

/** A name in a directory. */
export interface LivePlace {
  readonly directory: string;
  readonly name: string;
}

export interface LiveNode {
  readonly ino: string;
  readonly inode: Inode;
}

const pageNames = 500;
/** Deeper than any path is. */
const maxDepth = 4_096;
/** Moves of directories, which are one after the other: two at once could put each into the other. */
const movesKey = 'moves';

/**
 * One network file system. Nobody owns it: each operation looks at what it needs in the store and changes that in one commit, which
 * is made only where nothing of it has changed.
 *
 * I1. What was answered is in the store and the object store: every operation that begins later sees it, wherever it is asked for.
 * I2. A directory's record changes with each of its names, and a file's with its bytes.
 * I3. What has no name any more stays for an hour, for who has it open; then a sweep removes it.
 *
 * @throws (each) LiveRefusal for what the caller did; Unavailable
 */
export class LiveFiles {
  readonly content: LiveContent;
  readonly records: LiveRecords;

  constructor(parts: LiveParts, id: LiveId) {
    this.records = new LiveRecords(parts, id);
    this.content = new LiveContent(this.records);
  }

  async get(ino: string): Promise<Inode> {
    return (await this.records.inode(ino)).inode;
  }

  async find({ directory, name }: LivePlace): Promise<LiveNode | null> {
    const { found } = await this.records.name(directory, name);
    if (found === null) return null;
    const [value = null] = await this.records.read(liveKeys.inode(found.ino));
    // Removed in between.
    return value === null ? null : { ino: found.ino, inode: parseInode(value) };
  }

  async *list(directory: string): AsyncGenerator<{ readonly name: string } & NameRecord, void, undefined> {
    const prefix = liveKeys.names(directory);
    const { parts, id } = this.records;
    for (let after: string | null = null; ; ) {
      const page = await parts.store.list(id, { prefix, after, limit: pageNames });
      for (const { key, value } of page) yield { name: key.slice(prefix.length), ...parseName(value) };
      after = page.at(-1)?.key ?? null;
      if (after === null || page.length < pageNames) return;
    }
  }

  async make(place: LivePlace, given: Pick<Inode, 'type' | 'mode' | 'target'>): Promise<LiveNode> {
    const ino = this.records.newId();
    const { type, mode, target } = given;
    const inode: Inode = {
      ...newInode(type, mode, this.records.nowMs()),
      ...(type === 'directory' ? { parent: place.directory } : {}),
      ...(target === undefined ? {} : { target, size: Buffer.byteLength(target) }),
    };
    return await this.records.change(async () => {
      const directory = await this.#directoryRecord(place.directory);
      const { found, seen } = await this.records.name(place.directory, place.name);
      if (found !== null) refuseLive('EEXIST');
      return {
        seen: [directory.seen, seen],
        writes: [
          this.#counted(directory, 1),
          { key: seen.key, value: encodeRecord({ ino, type }) },
          { key: liveKeys.inode(ino), value: encodeRecord(inode) },
        ],
        result: { ino, inode },
      };
    });
  }

  /** A file without a name, to be written before anybody sees it. */
  async makeNameless(mode: number): Promise<string> {
    const ino = this.records.newId();
    const inode = { ...newInode('file', mode, this.records.nowMs()), isNameless: true };
    const writes = [{ key: liveKeys.inode(ino), value: encodeRecord(inode) }, this.#nameless(ino)];
    await this.records.parts.store.commit(this.records.id, [], writes);
    return ino;
  }

  /** Gives such a file a name, in place of what file had it. */
  async link(ino: string, place: LivePlace): Promise<void> {
    await this.records.change(async () => {
      const directory = await this.#directoryRecord(place.directory);
      const { found, seen } = await this.records.name(place.directory, place.name);
      const file = await this.records.inode(ino);
      const gone = found === null ? { seen: [], writes: [] } : await this.#unnamed(found, 'file');
      return {
        seen: [directory.seen, seen, file.seen, ...gone.seen],
        writes: [
          this.#counted(directory, found === null ? 1 : 0),
          { key: seen.key, value: encodeRecord({ ino, type: 'file' }) },
          {
            key: file.seen.key,
            value: encodeRecord({ ...changed(file.inode, this.records.nowMs()), isNameless: false }),
          },
          { key: liveKeys.nameless(ino), value: null },
          ...gone.writes,
        ],
        result: undefined,
      };
    });
  }

  async change(ino: string, attributes: Partial<Pick<Inode, 'mode' | 'mtimeSeconds' | 'mtimeNanos'>>): Promise<void> {
    await this.records.change(async () => {
      const { inode, seen } = await this.records.inode(ino);
      const next = { ...inode, ...attributes, version: inode.version + 1 };
      return { seen: [seen], writes: [{ key: seen.key, value: encodeRecord(next) }], result: undefined };
    });
  }

  async remove(place: LivePlace, type: 'file' | 'directory'): Promise<void> {
    await this.records.change(async () => {
      const directory = await this.#directoryRecord(place.directory);
      const { found, seen } = await this.records.name(place.directory, place.name);
      if (found === null) return refuseLive('ENOENT');
      const gone = await this.#unnamed(found, type);
      return {
        seen: [directory.seen, seen, ...gone.seen],
        writes: [this.#counted(directory, -1), { key: seen.key, value: null }, ...gone.writes],
        result: undefined,
      };
    });
  }

  async rename(from: LivePlace, to: LivePlace, mayReplace: boolean): Promise<void> {
    if (from.directory === to.directory && from.name === to.name) return;
    await this.records.change(async () => {
      const source = await this.#directoryRecord(from.directory);
      const target = from.directory === to.directory ? source : await this.#directoryRecord(to.directory);
      const [old, now] = [
        await this.records.name(from.directory, from.name),
        await this.records.name(to.directory, to.name),
      ];
      if (old.found === null) return refuseLive('ENOENT');
      if (now.found !== null && !mayReplace) refuseLive('EEXIST');
      const { ino, type } = old.found;
      if (now.found?.ino === ino) refuseLive('EINVAL');
      const gone =
        now.found === null
          ? { seen: [], writes: [] }
          : await this.#unnamed(now.found, type === 'directory' ? type : 'file');
      const moved = type === 'directory' ? await this.#movedDirectory(ino, to.directory) : { seen: [], writes: [] };
      const more = now.found === null ? 1 : 0;
      const counts =
        source === target
          ? [this.#counted(source, more - 1)]
          : [this.#counted(source, -1), this.#counted(target, more)];
      return {
        seen: [source.seen, target.seen, old.seen, now.seen, ...gone.seen, ...moved.seen],
        writes: [
          ...counts,
          { key: old.seen.key, value: null },
          { key: now.seen.key, value: encodeRecord({ ino, type }) },
          ...gone.writes,
          ...moved.writes,
        ],
        result: undefined,
      };
    });
  }

  async #directoryRecord(ino: string): Promise<{ readonly inode: Inode; readonly seen: LiveValue }> {
    const found = await this.records.inode(ino);
    return found.inode.type === 'directory' ? found : refuseLive('ENOTDIR');
  }

  #counted({ inode, seen }: { inode: Inode; seen: LiveValue }, more: number): LiveValue {
    return { key: seen.key, value: encodeRecord(changed(inode, this.records.nowMs(), { size: inode.size + more })) };
  }

  /** What it takes that something loses its name. */
  async #unnamed(found: NameRecord, wanted: 'file' | 'directory'): Promise<{ seen: LiveValue[]; writes: LiveValue[] }> {
    if (found.type === 'directory' && wanted === 'file') refuseLive('EISDIR');
    if (found.type !== 'directory' && wanted === 'directory') refuseLive('ENOTDIR');
    const { inode, seen } = await this.records.inode(found.ino);
    if (found.type === 'directory') {
      if (inode.size > 0) refuseLive('ENOTEMPTY');
      return { seen: [seen], writes: [{ key: seen.key, value: null }] };
    }
    const next = { ...inode, isNameless: true, version: inode.version + 1 };
    return { seen: [seen], writes: [{ key: seen.key, value: encodeRecord(next) }, this.#nameless(found.ino)] };
  }

  /** It knows what it is in; never something that is in itself. */
  async #movedDirectory(ino: string, into: string): Promise<{ seen: LiveValue[]; writes: LiveValue[] }> {
    const [moves = null] = await this.records.read(movesKey);
    let at = into;
    for (let depth = 0; at !== rootIno; depth++) {
      if (at === ino || depth > maxDepth) refuseLive('EINVAL');
      at = (await this.records.inode(at)).inode.parent ?? rootIno;
    }
    const { inode, seen } = await this.records.inode(ino);
    const next = { ...inode, parent: into, version: inode.version + 1 };
    return {
      seen: [seen, { key: movesKey, value: moves }],
      writes: [
        { key: seen.key, value: encodeRecord(next) },
        { key: movesKey, value: String(Number(moves ?? 0) + 1) },
      ],
    };
  }

  #nameless(ino: string): LiveValue {
    return { key: liveKeys.nameless(ino), value: String(this.records.nowMs()) };
  }
}
