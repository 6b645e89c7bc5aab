import { HoldfastError } from '../../../common/errors.js';
import type { GuestWriteOptions, GuestWriter } from '../../../common/ports/guest.js';
import { makeGuestDirectory, parentOf } from './guest-directories.js';
import { guestBroke, guestError } from './guest-errors.js';
import { GuestAnswer, type GuestField, GuestFlag, GuestRequest } from './guest-frames.js';
import type { GuestLink } from './guest-link.js';
import { GuestSender } from './guest-sender.js';
import { encodePath } from './guest-text.js';

const defaultMode = 0o644;
const maxMode = 0o7777;

/** @throws as the port says */
export async function openGuestWriter(link: GuestLink, path: string, options: GuestWriteOptions): Promise<GuestWriter> {
  const writing = new Writing(link, path, options);
  try {
    await writing.opened;
    return writing;
  } catch (error) {
    if (!options.makeParents || !isMissing(error)) throw error;
  }
  await makeGuestDirectory(link, parentOf(path), { parents: true });
  const again = new Writing(link, path, options);
  await again.opened;
  return again;
}

/** All at once: a file that can be opened needs no second round trip. @throws as the port says */
export async function writeWholeGuestFile(
  link: GuestLink,
  file: { readonly path: string; readonly content: Uint8Array },
  options: GuestWriteOptions,
): Promise<void> {
  const attempt = () => {
    const writing = new Writing(link, file.path, options);
    // What goes wrong comes out of `end` too.
    writing.write(file.content).catch(() => undefined);
    return writing.end();
  };
  try {
    await attempt();
    return;
  } catch (error) {
    if (!options.makeParents || !isMissing(error)) throw error;
  }
  await makeGuestDirectory(link, parentOf(file.path), { parents: true });
  await attempt();
}

class Writing implements GuestWriter {
  readonly opened: Promise<void>;
  readonly #link: GuestLink;
  readonly #ref: number;
  readonly #sender: GuestSender;
  readonly #done: Promise<void>;
  #isOpen = false;

  constructor(link: GuestLink, path: string, options: GuestWriteOptions) {
    this.#link = link;
    const fields = writeFields(path, options);
    const opened = settleable();
    const done = settleable();
    this.opened = opened.promise;
    this.#done = done.promise;
    const fail = (error: HoldfastError) => {
      this.#sender.stop(error);
      opened.reject(error);
      done.reject(error);
    };
    this.#ref = link.request(GuestRequest.Write, fields, {
      onFrame: (kind, body) => {
        if (kind === GuestAnswer.Credit) return this.#sender.onCredit(body);
        if (kind === GuestAnswer.Ok && !this.#isOpen) {
          this.#isOpen = true;
          return opened.resolve();
        }
        if (kind !== GuestAnswer.Ok && kind !== GuestAnswer.Error)
          throw guestBroke(`a ${kind} while a file is written`);
        link.release(this.#ref);
        if (kind === GuestAnswer.Error) return fail(guestError({ verb: 'write', path }, body));
        this.#sender.stop(null);
        done.resolve();
      },
      onLost: fail,
    });
    this.#sender = new GuestSender(link, this.#ref);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#sender.write(bytes);
  }

  end(): Promise<void> {
    this.#sender.end();
    return this.#done;
  }

  abort(): void {
    this.#sender.stop(null);
    this.#link.abandon(this.#ref);
  }
}

interface Settleable {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: HoldfastError): void;
}

/** Who does not ask does not care: a rejection that nobody awaits ends no process. */
function settleable(): Settleable {
  let settle: Omit<Settleable, 'promise'> | null = null;
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  promise.catch(() => undefined);
  return { promise, ...(settle as unknown as Omit<Settleable, 'promise'>) };
}

function writeFields(path: string, options: GuestWriteOptions): GuestField[] {
  const { mode = defaultMode } = options;
  if (!Number.isInteger(mode) || mode < 0 || mode > maxMode) {
    throw new HoldfastError('InvalidArgument', `mode is ${mode}, it must be permission bits, 0 to 0o7777`);
  }
  return [[1, options.append ? GuestFlag.append : 0], [2, mode], { text: encodePath(path) }];
}

function isMissing(error: unknown): boolean {
  return error instanceof HoldfastError && error.code === 'FileNotFound';
}
