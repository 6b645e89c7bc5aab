import { HoldfastError, isHoldfastError } from '../../../common/errors.js';
import type { GuestEntry } from '../../../common/ports/guest.js';
import { callGuest, readNothing } from './guest-call.js';
import { guestBroke, guestError } from './guest-errors.js';
import { GuestAnswer, GuestFlag, GuestRequest } from './guest-frames.js';
import { GuestCredit } from './guest-inflow.js';
import type { GuestLink } from './guest-link.js';
import { fileType, readStat } from './guest-stat.js';
import { decodeName, encodePath } from './guest-text.js';

const directoryMode = 0o755;
const listWindowBytes = 262_144;
const defaultMaxListBytes = 67_108_864;
const maxNameBytes = 255;
const entryHeaderBytes = 19;
const maxEntryBytes = 280;
/** What an entry takes in memory here beside its name, at the least. */
const besideNameBytes = 64;
/** DT_UNKNOWN of readdir(3). */
const unknownType = 0;
const statsAtOnce = 64;
const beyondAscii = /[\x80-\xff]/;

/** Without the last name; `/` above the root too. */
export function parentOf(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  return trimmed.slice(0, trimmed.lastIndexOf('/')) || '/';
}

/** With `parents` all of them in one round trip; which one fails does not matter, the last one tells. @throws as the port says */
export async function makeGuestDirectory(
  link: GuestLink,
  path: string,
  options: { readonly parents?: boolean; readonly existOk?: boolean },
): Promise<void> {
  const { parents = false, existOk = parents } = options;
  encodePath(path);
  const above: string[] = [];
  for (let at = parentOf(path); parents && at !== '/'; at = parentOf(at)) above.unshift(at);
  const making = [...above, path.replace(/\/+$/, '') || '/'].map((each) => make(link, each));
  const last = (await Promise.allSettled(making)).at(-1) as PromiseSettledResult<void>;
  if (last.status === 'fulfilled') return;
  const exists = isHoldfastError(last.reason, 'AlreadyExists');
  if (!exists || !existOk) throw last.reason;
  const { type } = await statGuestPath(link, path, { followLinks: true });
  if (type !== 'directory') throw last.reason;
}

/** @throws as the port says */
export function statGuestPath(
  link: GuestLink,
  path: string,
  { followLinks, signal }: { readonly followLinks: boolean; readonly signal?: AbortSignal | undefined },
): Promise<ReturnType<typeof readStat>> {
  return callGuest(link, {
    kind: GuestRequest.Stat,
    fields: [[1, followLinks ? GuestFlag.follow : 0], { text: encodePath(path) }],
    attempt: { verb: 'look at', path },
    signal,
    read: readStat,
  });
}

/** @throws as the port says */
export async function listGuestDirectory(
  link: GuestLink,
  path: string,
  options: { readonly maxBytes?: number; readonly signal?: AbortSignal },
): Promise<GuestEntry[]> {
  const raw = await readEntries(link, path, options);
  // As one character for each byte, so that this is the order of bytes.
  raw.sort((a, b) => (a.bytes < b.bytes ? -1 : 1));
  const entries = raw.map(({ bytes, type }) => ({ name: nameOf(bytes), type }));
  return withTypes(link, { path, entries }, options.signal);
}

/** Some file systems do not tell types with names. */
async function withTypes(
  link: GuestLink,
  { path, entries }: { readonly path: string; readonly entries: { readonly name: string; readonly type: number }[] },
  signal: AbortSignal | undefined,
): Promise<GuestEntry[]> {
  const found = entries.map(({ name, type }) => ({ name, type: fileType(type) }));
  const unknown = found.filter((_, i) => entries[i]?.type === unknownType);
  for (let at = 0; at < unknown.length; at += statsAtOnce) {
    const looking = unknown.slice(at, at + statsAtOnce).map(async (entry) => {
      entry.type = (await statGuestPath(link, `${path}/${entry.name}`, { followLinks: false, signal })).type;
    });
    // What is gone meanwhile stays what it was, unknown.
    await Promise.allSettled(looking);
    signal?.throwIfAborted();
    if (link.error !== null) throw link.error;
  }
  return found;
}

function readEntries(
  link: GuestLink,
  path: string,
  options: { readonly maxBytes?: number; readonly signal?: AbortSignal },
): Promise<RawEntry[]> {
  const { maxBytes = defaultMaxListBytes, signal } = options;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const reader = new EntryReader();
    const text = encodePath(path);
    const stop = (error: unknown) => {
      link.abandon(ref);
      finish(error);
    };
    const finish = (error: unknown) => {
      signal?.removeEventListener('abort', onAbort);
      if (error === null) resolve(reader.all);
      else reject(error);
    };
    const onAbort = () => stop(signal?.reason);
    const fields = [[4, listWindowBytes], [8, 0], [8, Number.MAX_SAFE_INTEGER], { text }] as const;
    const ref = link.request(GuestRequest.List, fields, {
      onFrame: (kind, body) => {
        if (kind === GuestAnswer.Ok) return void readStat(body);
        if (kind !== GuestAnswer.End && kind !== GuestAnswer.Error) throw guestBroke(`a ${kind} in a list`);
        link.release(ref);
        finish(kind === GuestAnswer.End ? null : guestError({ verb: 'list', path }, body));
      },
      onData: (_kind, bytes) => {
        reader.push(bytes);
        if (reader.keptBytes > maxBytes) return stop(tooMany(path, maxBytes));
        credit.taken(bytes.length);
      },
      onLost: finish,
    });
    const credit = new GuestCredit(link, ref, listWindowBytes);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

interface RawEntry {
  /** Of its name, each as one character. */
  readonly bytes: string;
  readonly type: number;
}

/** Entries as of getdents64(2), wherever the pieces are cut: u64 inode | i64 offset | u16 length of it all | u8 type | name | NUL. */
class EntryReader {
  readonly all: RawEntry[] = [];
  keptBytes = 0;
  #rest: Buffer = Buffer.alloc(0);

  /** @throws Unavailable where it is malformed */
  push(piece: Buffer): void {
    const page = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    let at = 0;
    while (page.length - at >= entryHeaderBytes) {
      const length = page.readUInt16LE(at + 16);
      if (length <= entryHeaderBytes || length > maxEntryBytes) throw guestBroke('an entry is malformed');
      if (page.length - at < length) break;
      const start = at + entryHeaderBytes;
      const end = page.indexOf(0, start);
      if (end === -1 || end >= at + length) throw guestBroke('a name has no end');
      this.#add(page.toString('latin1', start, end), page[at + 18] as number);
      at += length;
    }
    this.#rest = page.subarray(at);
  }

  #add(bytes: string, type: number): void {
    if (bytes.length === 0 || bytes.length > maxNameBytes || bytes.includes('/'))
      throw guestBroke('a name is malformed');
    if (bytes === '.' || bytes === '..') return;
    this.keptBytes += besideNameBytes + bytes.length;
    this.all.push({ bytes, type });
  }
}

function nameOf(bytes: string): string {
  return beyondAscii.test(bytes) ? decodeName(Buffer.from(bytes, 'latin1')) : bytes;
}

function make(link: GuestLink, path: string): Promise<void> {
  return callGuest(link, {
    kind: GuestRequest.Mkdir,
    fields: [[2, directoryMode], { text: encodePath(path) }],
    attempt: { verb: 'make the directory', path },
    read: readNothing,
  });
}

function tooMany(path: string, maxBytes: number): HoldfastError {
  const why = `the list of ${path} takes more than ${maxBytes} bytes`;
  return new HoldfastError('PayloadTooLarge', why, { details: { path, maxBytes } });
}
