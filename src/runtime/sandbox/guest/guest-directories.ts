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
  const { type } = await statGuestPath(link, path, true);
  if (type !== 'directory') throw last.reason;
}

/** @throws as the port says */
export function statGuestPath(
  link: GuestLink,
  path: string,
  followLinks: boolean,
): Promise<ReturnType<typeof readStat>> {
  return callGuest(link, {
    kind: GuestRequest.Stat,
    fields: [[1, followLinks ? GuestFlag.follow : 0], { text: encodePath(path) }],
    attempt: { verb: 'look at', path },
    read: readStat,
  });
}

/** @throws as the port says */
export function listGuestDirectory(
  link: GuestLink,
  path: string,
  options: { readonly maxBytes?: number; readonly signal?: AbortSignal },
): Promise<GuestEntry[]> {
  const { maxBytes = defaultMaxListBytes, signal } = options;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const entries = new EntryReader();
    const text = encodePath(path);
    let bytesLeft = maxBytes;
    const stop = (error: unknown) => {
      link.abandon(ref);
      finish(error);
    };
    const finish = (error: unknown) => {
      signal?.removeEventListener('abort', onAbort);
      if (error === null) resolve(entries.all);
      else reject(error);
    };
    const onAbort = () => stop(signal?.reason);
    const ref = link.request(GuestRequest.List, [[4, listWindowBytes], { text }], {
      onFrame: (kind, body) => {
        if (kind !== GuestAnswer.End && kind !== GuestAnswer.Error) throw guestBroke(`a ${kind} in a list`);
        link.release(ref);
        finish(kind === GuestAnswer.End ? null : guestError({ verb: 'list', path }, body));
      },
      onData: (_kind, bytes) => {
        bytesLeft -= bytes.length;
        if (bytesLeft < 0) return stop(tooMany(path, maxBytes));
        entries.push(bytes);
        credit.taken(bytes.length);
      },
      onLost: finish,
    });
    const credit = new GuestCredit(link, ref, listWindowBytes);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Of each entry: u8 type | name | NUL, wherever the pieces are cut. */
class EntryReader {
  readonly all: GuestEntry[] = [];
  #rest: Buffer = Buffer.alloc(0);

  /** @throws Unavailable where it is malformed */
  push(bytes: Buffer): void {
    const page = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    for (let end = page.indexOf(0, at + 1); at < page.length && end !== -1; end = page.indexOf(0, at + 1)) {
      const name = page.subarray(at + 1, end);
      if (name.length === 0 || name.length > maxNameBytes || name.includes(0x2f))
        throw guestBroke('a name is malformed');
      this.all.push({ name: decodeName(name), type: fileType(page[at] as number) });
      at = end + 1;
    }
    this.#rest = page.subarray(at);
    if (this.#rest.length > maxNameBytes + 2) throw guestBroke('a name has no end');
  }
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
  const why = `the names in ${path} are more than ${maxBytes} bytes`;
  return new HoldfastError('PayloadTooLarge', why, { details: { path, maxBytes } });
}
