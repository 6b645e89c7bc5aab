import type { Clock } from '../../common/clock.js';
import type { CallChange, CallCommit, OpenCall } from '../../common/ports/call-store.js';
import type { StateOwner } from '../../common/ports/state-store.js';
import type { Store } from '../../common/ports/store.js';
import type { CallId, CallProgress } from '../../common/spawned-call.js';
import { untilKnown } from '../calls/until-known.js';
import { attestOne } from '../instances/attest.js';
import type { Instance } from '../instances/instance.js';

export interface JournalDeps {
  readonly store: Pick<Store, 'calls' | 'alarms' | 'pins'>;
  readonly clock: Clock;
  /** False: this boot is over (S7). */
  readonly mayRun: () => boolean;
  /** These have ended: whoever waits for them looks. May be lost. */
  readonly announce: (instance: Instance, ended: readonly CallId[]) => void;
}

/** What is to be written of one call: of several changes that wait together only what they come to. */
interface Entry {
  add: { readonly call: OpenCall; readonly args: Uint8Array } | null;
  progress: CallProgress | null;
  end: { readonly progress: CallProgress; readonly answer: Uint8Array } | null;
  /** False: nobody knows, and this activation will not learn it. */
  readonly stored: Promise<boolean>;
  readonly settle: (isStored: boolean) => void;
}

/** Of one commit. */
const mostEntries = 256;
const mostBytes = 1_048_576;
/** What is open is looked at that much later, and the store is told so half as often. */
const lookAfterMs = 10_000;
const expectEveryMs = 5_000;

/**
 * What one activation writes about its spawned calls, in its order.
 *
 * I1. One commit is under way; what comes meanwhile is gathered into the next.
 * I2. Before a call is recorded somebody is expected to look at the instance, so that none is forgotten (R4).
 * I3. A store that does not answer is asked again; an activation that it no longer knows is stopped, with its container (R2).
 */
export class CallJournal {
  readonly #instance: Instance;
  readonly #deps: JournalDeps;
  readonly #pending = new Map<CallId, Entry>();
  /** Until what was adopted before is known. */
  #isOpen = false;
  #isOver = false;
  #sequence = 0;
  #expectedAt = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | null = null;
  #underway: readonly Entry[] = [];

  constructor(instance: Instance, deps: JournalDeps) {
    this.#instance = instance;
    this.#deps = deps;
  }

  /** What is open from before; nothing is written until this is known. Null: this activation is over. */
  async adopt(): Promise<readonly OpenCall[] | null> {
    const adopted = await this.#ask(() => this.#deps.store.calls.adopt(this.#owner));
    if (adopted === null) return null;
    this.#isOpen = true;
    this.#go();
    return adopted;
  }

  /** Resolves with what the store says of the arguments. @throws Unavailable when this boot is over */
  argumentsOf(id: CallId): Promise<Uint8Array | null> {
    return untilKnown(() => this.#deps.store.calls.arguments(id), this.#patience);
  }

  add(call: OpenCall, args: Uint8Array): Promise<boolean> {
    return this.#write(call.id, (entry) => {
      entry.add = { call, args };
    });
  }

  progress(id: CallId, progress: CallProgress): Promise<boolean> {
    return this.#write(id, (entry) => {
      entry.progress = progress;
    });
  }

  end(id: CallId, progress: CallProgress, answer: Uint8Array): Promise<boolean> {
    return this.#write(id, (entry) => {
      entry.end = { progress, answer };
    });
  }

  /** Resolves when all that was written by now is stored, or never will be by this activation. */
  async settled(): Promise<void> {
    await Promise.all([...this.#underway, ...this.#pending.values()].map(({ stored }) => stored));
  }

  /** What was not stored by then never will be. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get isIdle(): boolean {
    return this.#pending.size + this.#underway.length === 0;
  }

  get #owner(): StateOwner {
    return { key: this.#instance.key, epoch: this.#instance.epoch };
  }

  get #patience() {
    return { clock: this.#deps.clock, isOver: () => this.#isOver || !this.#deps.mayRun() };
  }

  #write(id: CallId, change: (entry: Entry) => void): Promise<boolean> {
    if (this.#isOver) return Promise.resolve(false);
    const entry = this.#pending.get(id) ?? newEntry();
    this.#pending.set(id, entry);
    change(entry);
    this.#go();
    return entry.stored;
  }

  #go(): void {
    if (!this.#isOpen || this.#pending.size === 0) return;
    // A turn later: what comes in one batch of frames is one commit.
    this.#running ??= Promise.resolve()
      .then(() => this.#run())
      .finally(() => {
        this.#running = null;
        this.#go();
      });
  }

  async #run(): Promise<void> {
    while (this.#pending.size > 0) {
      const changes = this.#take();
      const isStored = await this.#commit(changes);
      for (const { settle } of this.#underway) settle(isStored);
      this.#underway = [];
      const ended = isStored ? changes.flatMap((change) => (change.kind === 'end' ? change.id : [])) : [];
      if (ended.length > 0) this.#deps.announce(this.#instance, ended);
    }
  }

  #take(): readonly CallChange[] {
    const changes: CallChange[] = [];
    const taken: Entry[] = [];
    let bytes = 0;
    for (const [id, entry] of this.#pending) {
      const more = (entry.add?.args.length ?? 0) + (entry.end?.answer.length ?? 0);
      if (taken.length === mostEntries || (taken.length > 0 && bytes + more > mostBytes)) break;
      bytes += more;
      taken.push(entry);
      changes.push(...changesOf(id, entry));
      this.#pending.delete(id);
    }
    this.#underway = taken;
    return changes;
  }

  async #commit(changes: readonly CallChange[]): Promise<boolean> {
    if (changes.some(({ kind }) => kind === 'add') && !(await this.#expectLook())) return false;
    this.#sequence += 1;
    const commit: CallCommit = { sequence: this.#sequence, changes };
    const answer = await this.#ask(() => this.#deps.store.calls.commit(this.#owner, commit));
    // It took so long that somebody may have looked, and found nothing yet.
    return answer !== null && (await this.#expectLook());
  }

  /** False: this activation is over. */
  async #expectLook(): Promise<boolean> {
    const { clock, store } = this.#deps;
    const nowMs = clock.monotonic();
    if (nowMs - this.#expectedAt < expectEveryMs) return true;
    const { identity, key } = this.#instance;
    const told = await this.#ask(() => store.alarms.expect(identity.account, key, clock.now() + lookAfterMs));
    this.#expectedAt = nowMs;
    return told !== null;
  }

  /** Null: this activation is over, and with it all that was to be written. */
  async #ask<T>(ask: () => Promise<T | 'stale'>): Promise<T | null> {
    const known = <A>(question: () => Promise<A>): Promise<A | null> =>
      untilKnown(question, this.#patience).catch(() => null); // over, or refused for good: as below
    let answer = await known(ask);
    // A server that took over may only have forgotten it (S10).
    if (answer === 'stale' && (await known(() => attestOne(this.#deps.store.pins, this.#instance))))
      answer = await known(ask);
    if (answer !== null && answer !== 'stale') return answer as T;
    // Its pin is another's, whatever this worker believed, or the store refuses it for good: what it does counts no more.
    if (this.#deps.mayRun()) this.#instance.kill();
    this.#isOver = true;
    for (const { settle } of this.#pending.values()) settle(false);
    this.#pending.clear();
    return null;
  }
}

function newEntry(): Entry {
  let settle: (isStored: boolean) => void = () => undefined;
  const stored = new Promise<boolean>((resolve) => {
    settle = resolve;
  });
  return { add: null, progress: null, end: null, stored, settle };
}

function changesOf(id: CallId, { add, progress, end }: Entry): CallChange[] {
  const changes: CallChange[] = [];
  // The arguments of one that has ended already are nobody's.
  if (add !== null) changes.push({ kind: 'add', call: add.call, args: end === null ? add.args : new Uint8Array(0) });
  if (end !== null) changes.push({ kind: 'end', id, ...end });
  else if (progress !== null) changes.push({ kind: 'progress', id, progress });
  return changes;
}
