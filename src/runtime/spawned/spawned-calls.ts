import type { Clock, Random } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { MethodManifest } from '../../common/manifest.js';
import type { OpenCall } from '../../common/ports/call-store.js';
import { type CallId, type CallProgress, instanceOfCall } from '../../common/spawned-call.js';
import type { Instance } from '../instances/instance.js';
import { CallJournal, type JournalDeps } from './call-journal.js';
import { type CancelOutcome, mostLosses, SpawnedCall, type SpawnedParts } from './spawned-call.js';

export interface SpawnedDeps extends JournalDeps {
  readonly clock: Clock;
  readonly random: Random;
}

/** A call that somebody asks to be spawned. */
export interface SpawnAsk {
  readonly id: CallId;
  /** It may have been asked for before, by somebody who was not answered, or with the same key. */
  readonly isRepeated: boolean;
  readonly method: MethodManifest;
  readonly args: Uint8Array;
  /** It has its place in the queue: called where it gets one. */
  readonly admitted: () => void;
}

/** Fetched at once, of those that were left by an activation. */
const adoptedAtOnce = 32;
const first: CallProgress = { state: 'queued', attempt: 1, losses: 0, startedAtMs: null, endedAtMs: null };

/**
 * The spawned calls of one activation: those that come, and those that an earlier one has left.
 *
 * I1. Of one id at most one is here, and none whose record has ended runs again (R2).
 * I2. What was left is admitted in its order, before the first write of this activation (R4).
 */
export class SpawnedCalls {
  readonly #instance: Instance;
  readonly #deps: SpawnedDeps;
  readonly #journal: CallJournal;
  readonly #parts: SpawnedParts;
  readonly #open = new Map<CallId, SpawnedCall>();
  readonly #looking = new Map<CallId, Promise<'spawned' | 'moved'>>();
  #adopting: Promise<boolean> | null = null;
  #lastOrder: number;
  #hasLeft = false;

  constructor(instance: Instance, deps: SpawnedDeps) {
    this.#instance = instance;
    this.#deps = deps;
    this.#journal = new CallJournal(instance, deps);
    // Behind those of every earlier activation.
    this.#lastOrder = instance.epoch;
    const left: SpawnedParts['left'] = ({ record }, how, stored) => {
      this.#hasLeft ||= how === 'away';
      // Until its end is stored, whoever asks for it again finds it here.
      void stored.then(() => this.#open.delete(record.id));
    };
    this.#parts = { instance, journal: this.#journal, clock: deps.clock, random: deps.random, left };
  }

  /** Nothing of it is on its way, and none waits for its next attempt. */
  get isQuiet(): boolean {
    return this.#journal.isIdle && [...this.#open.values()].every((call) => !call.isPausing);
  }

  /** Resolves when it is admitted and recorded; `moved`: it certainly is not here. @throws why it is refused */
  spawn(ask: SpawnAsk): Promise<'spawned' | 'moved'> {
    if (!ask.isRepeated) return this.#spawnNew(ask);
    const underway = this.#looking.get(ask.id);
    if (underway !== undefined) return underway;
    const looking = this.#spawnUnlessKnown(ask).finally(() => this.#looking.delete(ask.id));
    this.#looking.set(ask.id, looking);
    return looking;
  }

  /** Goes on with what an earlier activation has left. */
  resume(): Promise<boolean> {
    this.#adopting ??= this.#adopt();
    return this.#adopting;
  }

  /** Null: it is not here, ask again. */
  async cancel(id: CallId): Promise<CancelOutcome | null> {
    if (!(await this.resume())) return null;
    const call = this.#open.get(id);
    if (call !== undefined) return call.cancel();
    const record = await this.#deps.store.calls.get(id);
    return record !== null && record.progress.endedAtMs === null ? null : 'already-finished';
  }

  /** The instance admits no more. */
  leave(isClosing: boolean): void {
    for (const call of [...this.#open.values()]) call.leave(isClosing);
  }

  /** It does not come to life: those that wait learn why, while its pin still says that it is here. */
  async fail(error: HoldfastError): Promise<void> {
    for (const call of [...this.#open.values()]) call.refuse(error);
    await this.settled();
  }

  /** Resolves when the store has all of it, or will not have it from this activation. */
  async settled(): Promise<void> {
    await this.#journal.settled();
  }

  /** Its pin says that it is gone: somebody shall look after those that it has left, now. */
  gone(): void {
    const isAnyLeft = this.#hasLeft || this.#open.size > 0;
    const { store, clock } = this.#deps;
    const { identity, key } = this.#instance;
    // Else a router finds them a few seconds later.
    if (isAnyLeft) void store.alarms.expect(identity.account, key, clock.now()).catch(() => undefined);
  }

  async #spawnNew({ id, method, args, admitted }: SpawnAsk): Promise<'spawned' | 'moved'> {
    if (instanceOfCall(id) !== this.#instance.key) {
      throw new HoldfastError('InvalidArgument', `the id of a call, ${JSON.stringify(id)}, names another instance`);
    }
    const { identity, pin } = this.#instance;
    const nowMs = Math.round(this.#deps.clock.now());
    const head = { method: method.name, isIdempotent: method.idempotent, spawnedAtMs: nowMs };
    const record = { id, head: { identity, generation: pin.generation, ...head }, progress: first };
    this.#lastOrder += 1;
    const call = new SpawnedCall(this.#parts, { record: { ...record, order: this.#lastOrder }, method, args });
    if (call.begin() === 'moved') return 'moved';
    admitted();
    this.#open.set(id, call);
    void this.resume();
    if (await call.recorded()) return 'spawned';
    this.#open.delete(id);
    throw activationOver(id);
  }

  async #spawnUnlessKnown(ask: SpawnAsk): Promise<'spawned' | 'moved'> {
    if (!(await this.resume())) return 'moved';
    const wasHere = this.#open.has(ask.id);
    if (wasHere) await this.#journal.settled();
    if ((await this.#deps.store.calls.get(ask.id)) !== null) return 'spawned';
    if (wasHere) throw activationOver(ask.id);
    return this.#instance.refusing === 'moving' ? 'moved' : this.#spawnNew({ ...ask, isRepeated: false });
  }

  async #adopt(): Promise<boolean> {
    const left = await this.#journal.adopt();
    if (left === null) return false;
    const unknown = left.filter(({ id }) => !this.#open.has(id));
    for (let at = 0; at < unknown.length; at += adoptedAtOnce) {
      const some = unknown.slice(at, at + adoptedAtOnce);
      const payloads = await Promise.all(
        some.map(({ id }) => this.#journal.argumentsOf(id).catch(() => undefined)), // over: nothing is started any more
      );
      for (const [index, record] of some.entries()) {
        const args = payloads[index];
        if (args === undefined || this.#instance.refusing !== null) {
          this.#hasLeft = true;
          return false;
        }
        this.#takeOver(record, args);
      }
    }
    return true;
  }

  #takeOver(record: OpenCall, args: Uint8Array | null): void {
    const { identity, method: name, isIdempotent, generation } = record.head;
    const known = this.#instance.klass.methods.get(name);
    // Only what it had begun, and nobody knows how it ended, makes a difference to whether it may run.
    const wasRunning = record.progress.state === 'running';
    const losses = record.progress.losses + (wasRunning ? 1 : 0);
    const progress: CallProgress = { ...record.progress, state: 'queued', losses, startedAtMs: null };
    const method = known ?? { ...noMethod, name };
    const call = new SpawnedCall(this.#parts, { record: { ...record, progress }, method, args: args ?? noArguments });
    this.#open.set(record.id, call);
    const what = `${identity.app}/${identity.className}/${identity.id}.${name}`;
    if (wasRunning && (!isIdempotent || losses > mostLosses)) {
      const advice = isIdempotent
        ? `that was so ${losses} times`
        : 'methods that may run again are declared with @method({ idempotent: true })';
      const why = `${what} had begun when its worker was lost; it may have run: ${advice}`;
      return call.refuse(new HoldfastError('OutcomeUnknown', why, { outcome: 'unknown' }));
    }
    if (generation !== this.#instance.pin.generation) {
      return call.refuse(new HoldfastError('InstanceGone', `${what}: its instance was closed, and made again since`));
    }
    if (known === undefined || args === null) {
      const why = known === undefined ? `the class has no method '${name}' any more` : 'its arguments are gone';
      return call.refuse(new HoldfastError('NotFound', `${what} cannot run: ${why}`));
    }
    call.goOn();
  }
}

function activationOver(id: CallId): HoldfastError {
  const message = `call ${id} may have been spawned: this activation is over`;
  return new HoldfastError('OutcomeUnknown', message, { outcome: 'unknown' });
}

const noArguments = new Uint8Array(0);
const noMethod = { generator: false, parameters: [], tags: [], metadata: {}, idempotent: false, concurrent: false };
