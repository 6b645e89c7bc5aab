import type { Clock, Monotonic, Random } from '../clock.js';
import { HoldfastError } from '../errors.js';
import type { ObjectStore } from '../ports/object-store.js';

/**
 * Keeps those who write images and those who sweep them apart, by objects beside the images: what a writer found there and did
 * not store again must not be removed before he has named it.
 *
 * I1. Each says what he is about to do before he looks at the others: of two that begin at once at least one sees the other.
 * I2. A sign is renewed while it means something; one that is older than `staleMs` is of somebody who is dead.
 * I3. A sweeper who could not renew his sign in time removes nothing any more: a delete ends, or has no effect, within 30 s.
 */
export interface ExclusionParts {
  readonly objects: ObjectStore;
  readonly account: string;
  readonly clock: Clock;
  readonly random: Random;
}

export const staleMs = 180_000;
const renewMs = 30_000;
const sureMs = 90_000;
const lookAgainMs = 500;
/** A sweep looks at every object of an account. */
const writersWaitMs = 900_000;
const sweeperWaitsMs = 60_000;

/** Those of one process who write images. */
export class ImageWriters {
  readonly #parts: ExclusionParts;
  readonly #key: string;
  #running = 0;
  #entered: Promise<void> | null = null;
  #left: Promise<void> = Promise.resolve();
  #over = new AbortController();
  #renewing: Promise<void> = Promise.resolve();

  constructor(parts: ExclusionParts) {
    this.#parts = parts;
    const name = Buffer.from(parts.random.bytes(16)).toString('hex');
    this.#key = `${writersFolder(parts.account)}/${name}`;
  }

  /** Nothing is swept meanwhile. @throws Unavailable where a sweep does not end, and what the work throws */
  async run<T>(work: () => Promise<T>): Promise<T> {
    this.#running += 1;
    this.#entered ??= this.#enter();
    const entered = this.#entered;
    try {
      await entered;
      return await work();
    } finally {
      this.#running -= 1;
      if (this.#running === 0) {
        this.#entered = null;
        this.#left = this.#leave();
        await this.#left;
      }
    }
  }

  async #enter(): Promise<void> {
    const { clock, objects, account } = this.#parts;
    await this.#left;
    this.#over = new AbortController();
    await putSign(this.#parts, this.#key);
    this.#renewing = renew(this.#parts, this.#key, { signal: this.#over.signal, onRenewed: () => undefined });
    const until = clock.monotonic() + writersWaitMs;
    while (await isFresh(this.#parts, sweepKey(account), objects)) {
      if (clock.monotonic() > until)
        throw new HoldfastError('Unavailable', 'images are being collected, for very long; try again');
      await clock.sleep(lookAgainMs);
    }
  }

  async #leave(): Promise<void> {
    this.#over.abort();
    // A sign that is just being renewed must not come after its end.
    await this.#renewing;
    await this.#parts.objects.delete(this.#key).catch(() => undefined); // it becomes stale
  }
}

/**
 * Runs `work` while nobody writes images of the account.
 *
 * @param work calls `check` before it removes anything @throws Unavailable where somebody goes on writing, or another one sweeps
 */
export async function whileNobodyWrites<T>(parts: ExclusionParts, work: (check: () => void) => Promise<T>): Promise<T> {
  const { objects, account, clock } = parts;
  const key = sweepKey(account);
  if (await isFresh(parts, key, objects)) throw busy('somebody else is collecting images');
  await putSign(parts, key);
  let renewedAt: Monotonic = clock.monotonic();
  const over = new AbortController();
  const onRenewed = (): void => {
    renewedAt = clock.monotonic();
  };
  const renewing = renew(parts, key, { signal: over.signal, onRenewed });
  try {
    await nobodyWrites(parts);
    return await work(() => {
      if (clock.monotonic() - renewedAt > sureMs) throw busy('the object store was away for too long');
    });
  } finally {
    over.abort();
    await renewing;
    await objects.delete(key).catch(() => undefined); // it becomes stale
  }
}

async function nobodyWrites(parts: ExclusionParts): Promise<void> {
  const { objects, account, clock } = parts;
  const until = clock.monotonic() + sweeperWaitsMs;
  for (;;) {
    const writers: string[] = [];
    for await (const page of objects.list(writersFolder(account))) writers.push(...page);
    const fresh = await Promise.all(writers.map((writer) => isFresh(parts, writer, objects)));
    if (!fresh.includes(true)) return;
    if (clock.monotonic() > until) throw busy('images are being built or taken');
    await clock.sleep(lookAgainMs);
  }
}

/** Until the signal; a sign that cannot be renewed becomes stale. */
async function renew(
  parts: ExclusionParts,
  key: string,
  { signal, onRenewed }: { readonly signal: AbortSignal; readonly onRenewed: () => void },
): Promise<void> {
  while (!signal.aborted) {
    await parts.clock.sleep(renewMs, signal).catch(() => undefined); // over
    if (signal.aborted) return;
    // A sign that came before the store went away says when.
    await putSign(parts, key).then(onRenewed, () => undefined);
  }
}

function putSign({ objects, clock }: ExclusionParts, key: string): Promise<void> {
  return objects.put(key, Buffer.from(String(clock.now())));
}

async function isFresh({ clock }: ExclusionParts, key: string, objects: ObjectStore): Promise<boolean> {
  const sign = await objects.get(key);
  return sign !== null && clock.now() - Number(Buffer.from(sign).toString('latin1')) < staleMs;
}

function writersFolder(account: string): string {
  return `images/${account}/writers`;
}

function sweepKey(account: string): string {
  return `images/${account}/sweep`;
}

function busy(why: string): HoldfastError {
  return new HoldfastError('Unavailable', `images cannot be collected now: ${why}; try again later`);
}
