import { currentCallContext } from '../../common/context.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { ByteStream } from '../../common/ports/byte-stream.js';
import type { Guest, GuestChange, GuestWriteOptions, GuestWriter } from '../../common/ports/guest.js';
import type { DownloadStart, FileView, UploadStart } from '../../common/sandbox-methods.js';
import { checkedBytes, fieldsOf } from './call-checks.js';
import type { ByteTickets } from './guest/byte-tickets.js';
import type { SessionEnvironment } from './session-environment.js';
import type { SessionParts } from './session-parts.js';

interface OpenUpload {
  readonly writer: GuestWriter;
  end(): void;
}

const maxListBytes = 67_108_864;

/** The files of one session; all of it happens inside its sandbox. */
export class SessionFiles {
  readonly #guest: Guest;
  readonly #tickets: ByteTickets | null;
  readonly #environment: SessionEnvironment;
  readonly #uploads = new Map<number, OpenUpload>();
  #lastUpload = 0;

  constructor({ guest, tickets }: Pick<SessionParts, 'guest' | 'tickets'>, environment: SessionEnvironment) {
    this.#guest = guest;
    this.#tickets = tickets;
    this.#environment = environment;
  }

  async exists(path: unknown): Promise<boolean> {
    try {
      await this.#guest.stat(this.#absolute(path), { followLinks: true });
      return true;
    } catch (e) {
      if (isHoldfastError(e, 'FileNotFound') || isNotDirectory(e)) return false;
      throw e;
    }
  }

  async stat(path: unknown): Promise<FileView> {
    const absolute = this.#absolute(path);
    return { path: absolute, ...(await this.#guest.stat(absolute, { followLinks: false })) };
  }

  async list(path: unknown): Promise<string[]> {
    const { signal } = currentCallContext();
    const entries = await this.#guest.list(this.#absolute(path), { maxBytes: maxListBytes, signal });
    return entries.map(({ name }) => name);
  }

  async mkdir(path: unknown, options: unknown): Promise<string> {
    const absolute = this.#absolute(path);
    const { parents, existOk } = fieldsOf(options);
    await this.#guest.mkdir(absolute, { parents: parents === true, existOk: existOk === true });
    return absolute;
  }

  async *read(path: unknown): AsyncGenerator<Uint8Array, void, undefined> {
    yield* orAborted(this.#guest.read(this.#absolute(path)), currentCallContext().signal);
  }

  /** Open as long as it is read. */
  async *download(path: unknown): AsyncGenerator<DownloadStart, void, undefined> {
    const { signal } = currentCallContext();
    const pieces = this.#guest.read(this.#absolute(path), { isLent: true });
    try {
      const first = await pieces.next();
      const bytes = first.done ? new Uint8Array(0) : new Uint8Array(first.value);
      const second = await pieces.next();
      if (this.#tickets === null || second.done) {
        yield { bytes, ticket: null };
        return;
      }
      const rest = this.#tickets.issue((stream) =>
        whileCalled(stream, signal, async () => {
          for (let step: IteratorResult<Uint8Array, void> = second; !step.done; step = await pieces.next()) {
            await stream.write(step.value);
          }
        }),
      );
      yield { bytes, ticket: rest.ticket };
      await aborted(signal);
      rest.withdraw();
    } finally {
      await pieces.return?.();
    }
  }

  async write(path: unknown, bytes: unknown, options: unknown): Promise<string> {
    const absolute = this.#absolute(path);
    await this.#guest.writeFile(absolute, checkedBytes(bytes), writeOptions(options));
    return absolute;
  }

  /** Open as long as it is read. */
  async *upload(path: unknown, options: unknown): AsyncGenerator<UploadStart, void, undefined> {
    const { signal } = currentCallContext();
    const absolute = this.#absolute(path);
    const writer = await this.#guest.write(absolute, writeOptions(options));
    const id = ++this.#lastUpload;
    const over = new Promise<void>((resolve) => {
      this.#uploads.set(id, { writer, end: resolve });
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const whole = this.#tickets?.issue((stream) =>
      whileCalled(stream, signal, () => writeStreamed(stream, writer, signal)),
    );
    try {
      yield { id, path: absolute, ticket: whole?.ticket ?? null };
      if (!signal.aborted) await over;
    } finally {
      whole?.withdraw();
      this.#uploads.delete(id);
      writer.abort();
    }
  }

  async uploadPiece(id: unknown, bytes: unknown): Promise<void> {
    await this.#upload(id).writer.write(checkedBytes(bytes));
  }

  async uploadEnd(id: unknown): Promise<void> {
    const { writer, end } = this.#upload(id);
    try {
      await writer.end();
    } finally {
      end();
    }
  }

  async remove(path: unknown, options: unknown): Promise<void> {
    const { recursive, missingOk } = fieldsOf(options);
    const { signal } = currentCallContext();
    try {
      await this.#guest.remove(this.#absolute(path), { recursive: recursive === true, signal });
    } catch (e) {
      if (missingOk !== true || !isHoldfastError(e, 'FileNotFound')) throw e;
    }
  }

  async rename(from: unknown, to: unknown): Promise<void> {
    await this.#guest.rename(this.#absolute(from), this.#absolute(to));
  }

  async *watch(path: unknown, options: unknown): AsyncGenerator<GuestChange | null, void, undefined> {
    const { recursive } = fieldsOf(options);
    const changes = await this.#guest.watch(this.#absolute(path), { recursive: recursive === true });
    yield* orAborted(changes, currentCallContext().signal);
  }

  #absolute(path: unknown): string {
    return this.#environment.absolute(path);
  }

  #upload(id: unknown): OpenUpload {
    const upload = this.#uploads.get(id as number);
    if (upload !== undefined) return upload;
    throw new HoldfastError('NotFound', `there is no upload ${id} any more`);
  }
}

function writeOptions(options: unknown): GuestWriteOptions {
  const { append, makeParents } = fieldsOf(options);
  return { append: append === true, makeParents: makeParents === true };
}

/** Resolves when all of it is in the file. @throws Cancelled where the upload is given up first */
async function writeStreamed(stream: ByteStream, writer: GuestWriter, signal: AbortSignal): Promise<void> {
  for await (const bytes of stream.read()) {
    if (signal.aborted) throw new HoldfastError('Cancelled', 'the upload was given up', { outcome: 'ran' });
    await writer.write(bytes);
  }
  await writer.end();
}

/** Who moves them is gone, or wants no more, when his call is. */
async function whileCalled(stream: ByteStream, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  const leave = (): void => stream.cancel();
  signal.addEventListener('abort', leave, { once: true });
  try {
    await work();
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** A file stands where a directory would have to be: below it nothing exists. */
function isNotDirectory(e: unknown): boolean {
  return isHoldfastError(e, 'InvalidArgument') && e.message.includes('not a directory');
}

/** A source that has nothing to say is left when its reader has gone. */
async function* orAborted<T>(
  source: AsyncIterableIterator<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const leave = (): void => {
    void source.return?.().catch(() => undefined); // who left does not ask how it ended
  };
  signal.addEventListener('abort', leave, { once: true });
  try {
    if (!signal.aborted) yield* source;
  } finally {
    signal.removeEventListener('abort', leave);
    leave();
  }
}
