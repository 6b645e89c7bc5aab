import { HoldfastError } from '../../../common/errors.js';
import { freeBytes } from '../../../common/free-bytes.js';
import type { GuestRange } from '../../../common/ports/guest.js';
import { guestBroke, guestError } from './guest-errors.js';
import { GuestAnswer, type GuestField, GuestRequest } from './guest-frames.js';
import { GuestCredit, GuestInflow } from './guest-inflow.js';
import type { GuestLink } from './guest-link.js';
import { readStat } from './guest-stat.js';
import { encodePath } from './guest-text.js';

const readAheadBytes = 1_048_576;
const maxOffset = Number.MAX_SAFE_INTEGER;

/** Opened at the first `next`. */
export function readGuestFile(
  link: GuestLink,
  path: string,
  range: GuestRange = {},
): AsyncIterableIterator<Uint8Array> {
  let opened: { readonly ref: number; readonly credit: GuestCredit } | null = null;
  const inflow = new GuestInflow<Uint8Array>({
    onStart: () => {
      opened = openForReading(link, readFields(path, range), {
        path,
        onBytes: (bytes) => inflow.push(bytes),
        onEnd: (error) => inflow.end(error),
      });
    },
    onTaken: (bytes) => opened?.credit.taken(bytes.length),
    onReturn: () => {
      if (opened !== null) link.abandon(opened.ref);
    },
  });
  return range.isLent ? lend(link, inflow) : inflow;
}

async function* lend(
  link: GuestLink,
  pieces: AsyncIterableIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (let step = await pieces.next(); !step.done; ) {
      const piece: Uint8Array = step.value;
      yield piece;
      step = await pieces.next();
      // What came at once may be several pieces.
      const isTaken = step.done || step.value.buffer !== piece.buffer;
      if (isTaken && link.hasAlone(piece)) freeBytes(piece);
    }
  } finally {
    await pieces.return?.();
  }
}

/** @throws PayloadTooLarge, and as the port says */
export function readWholeGuestFile(link: GuestLink, path: string, maxBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let size = 0;
    const opened = openForReading(link, readFields(path, {}), {
      path,
      onBytes: (bytes) => {
        size += bytes.length;
        if (size > maxBytes) {
          link.abandon(opened.ref);
          reject(tooLarge(path, maxBytes));
          return;
        }
        pieces.push(bytes);
        opened.credit.taken(bytes.length);
      },
      onEnd: (error) => {
        if (error !== null) reject(error);
        else resolve(pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces, size));
      },
    });
  });
}

/** Bytes of an operation that answers Ok, then Data, then End. */
function openForReading(
  link: GuestLink,
  fields: readonly GuestField[],
  reader: {
    readonly path: string;
    onBytes(bytes: Buffer): void;
    onEnd(error: HoldfastError | null): void;
  },
): { readonly ref: number; readonly credit: GuestCredit } {
  const ref = link.request(GuestRequest.Read, fields, {
    onFrame: (kind, body) => {
      if (kind === GuestAnswer.Ok) return void readStat(body);
      if (kind !== GuestAnswer.End && kind !== GuestAnswer.Error) throw guestBroke(`a ${kind} while a file is read`);
      link.release(ref);
      reader.onEnd(kind === GuestAnswer.End ? null : guestError({ verb: 'read', path: reader.path }, body));
    },
    onData: (_kind, bytes) => reader.onBytes(bytes),
    onLost: (error) => reader.onEnd(error),
  });
  return { ref, credit: new GuestCredit(link, ref, readAheadBytes) };
}

function readFields(path: string, range: GuestRange): GuestField[] {
  const { offset = 0, length = maxOffset } = range;
  return [
    [4, readAheadBytes],
    [8, checkedPosition('offset', offset)],
    [8, checkedPosition('length', length)],
    { text: encodePath(path) },
  ];
}

function checkedPosition(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new HoldfastError('InvalidArgument', `${name} is ${value}, it must be a whole number of bytes`);
}

function tooLarge(path: string, maxBytes: number): HoldfastError {
  const why = `${path} is longer than ${maxBytes} bytes, the most that can be read at once; read it as a stream`;
  return new HoldfastError('PayloadTooLarge', why, { details: { path, maxBytes } });
}
