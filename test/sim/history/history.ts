import type { BootId, InstanceKey } from '../../../src/common/ids.js';
import type { Pin } from '../../../src/common/pin.js';
import type { StateOwner } from '../../../src/common/ports/state-store.js';
import type { SimProcess } from '../engine/sim-process.js';
import type { Timeline } from '../engine/timeline.js';
import type { Activation, BootProcesses, Commit, Loan, Operation, Rule, Run, Violation } from './records.js';

/** What an observer saw who sees everything, and what broke a rule in the moment in which it happened. */
export class History {
  readonly operations = new Map<string, Operation>();
  readonly runs = new Map<string, Run[]>();
  readonly activations: Activation[] = [];
  readonly commits: Commit[] = [];
  readonly boots = new Map<BootId, BootProcesses>();
  /** `Class/id` and epoch -> generation, as the store gave them. */
  readonly generations = new Map<string, number>();
  /** `Class/id@time` of alarms whose method has ended. */
  readonly rings = new Set<string>();
  /** As they stand. */
  readonly pins = new Map<InstanceKey, Pin>();
  /** `Class/id` of instances of which the store has forgotten what was written last: what was acknowledged may be gone. */
  readonly halfForgotten = new Set<string>();
  /** By operation: the ids of spawned calls that were acknowledged. */
  readonly spawned = new Map<string, string>();
  /** By id: the state of the pin in the moment in which a spawned call was recorded as lost. */
  readonly lostCalls = new Map<string, string>();
  readonly violations: Violation[] = [];
  /** Calls that were sent to their container before they had a slot; of those, how many it gave back. */
  readonly ahead = { sent: 0, recalled: 0 };
  /** Containers that were lent. */
  readonly loans = new Map<SimProcess, Loan>();
  /** True time at which the lease of a boot ends at the latest, as it was renewed last. */
  readonly leaseEnds = new Map<BootId, number>();
  readonly #timeline: Timeline;
  readonly #isLeaseHeld: (bootId: BootId) => boolean;
  readonly #released = new Set<BootId>();
  readonly #ledger = new Map<string, Run[]>();
  /** By container and the number of the call in it: its operation. */
  readonly #sentAhead = new Map<SimProcess, Map<number, string>>();
  /** By instance, epoch and key. */
  readonly #keys = new Map<string, string>();

  constructor(timeline: Timeline, isLeaseHeld: (bootId: BootId) => boolean) {
    this.#timeline = timeline;
    this.#isLeaseHeld = isLeaseHeld;
  }

  /** Runs by instance, in the order in which they began. */
  ledger(instance: string): readonly Run[] {
    return this.#ledger.get(instance) ?? [];
  }

  get instances(): string[] {
    return [...this.#ledger.keys()];
  }

  break(rule: Rule, text: string): void {
    this.violations.push({ rule, text, at: this.#timeline.now });
    this.#timeline.note(null, `VIOLATION ${rule}:`, text);
  }

  failed(message: string): void {
    this.break('internal', message);
  }

  booted(bootId: BootId, processes: BootProcesses): void {
    this.boots.set(bootId, processes);
    this.#timeline.note(processes.worker, 'boots', bootId);
  }

  /** The boot sent frames to a client. */
  answered(bootId: BootId): void {
    if (!this.#isLeaseHeld(bootId)) this.break('fenced-silence', `boot ${bootId} answers a client without a lease`);
  }

  leaseTaken(bootId: BootId, ttlMs: number): void {
    this.leaseEnds.set(bootId, this.#timeline.now + ttlMs);
  }

  /** By its watchdog, or its own clean end. */
  leaseReleased(bootId: BootId): void {
    this.#released.add(bootId);
  }

  /** A container of the lender is the borrower's from now on. */
  lent(container: SimProcess, loan: Loan): void {
    this.loans.set(container, loan);
    this.#timeline.note(container, 'is lent', `to ${loan.borrower}`);
  }

  /** The boot sent a call into a container; into one that it lends, what the borrower had sent it. */
  started(bootId: BootId, container: SimProcess): void {
    const loan = this.loans.get(container);
    if (loan !== undefined) {
      if (this.#timeline.now > (this.leaseEnds.get(loan.borrower) ?? 0))
        this.break('fenced-silence', `a call of ${loan.borrower} is started in ${container.name} after its lease`);
      return;
    }
    if (!this.#isLeaseHeld(bootId)) this.break('fenced-silence', `boot ${bootId} starts a call without a lease`);
  }

  /** A call was sent to its container before it had a slot. */
  sentAhead(container: SimProcess, ref: number, operation: string): void {
    this.ahead.sent += 1;
    const known = this.#sentAhead.get(container) ?? new Map<number, string>();
    this.#sentAhead.set(container, known.set(ref, operation));
  }

  /** C6: the container gives it back, so it must not have begun there. */
  givenBack(container: SimProcess, ref: number): void {
    this.ahead.recalled += 1;
    const operation = this.#sentAhead.get(container)?.get(ref) ?? '';
    if (this.runs.get(operation)?.some(({ activation }) => activation.process === container))
      this.break('at-most-once', `${operation} is given back by ${container.name}, and has begun there`);
  }

  pinChanged(key: InstanceKey, pin: Pin): void {
    this.pins.set(key, pin);
    const instance = `${pin.identity.className}/${pin.identity.id}`;
    this.#checkReleased(instance, this.pins.get(key) ?? null, pin);
    this.generations.set(`${instance}@${pin.epoch}`, pin.generation);
    this.#timeline.note(null, `pin ${instance}`, `${pin.state} at ${pin.epoch} on ${pin.bootId ?? 'nothing'}`);
  }

  /** P1, C10: a boot that has its lease gives a pin back when no code of that epoch runs any more, wherever it did. */
  #checkReleased(instance: string, before: Pin | null, { epoch, state }: Pin): void {
    const bootId = before?.bootId ?? null;
    const isReleased = before?.epoch === epoch && (state === 'idle' || state === 'closed' || state === 'lost');
    const isOver =
      bootId === null || this.#released.has(bootId) || (this.leaseEnds.get(bootId) ?? 0) < this.#timeline.now;
    if (!isReleased || isOver) return;
    for (const activation of this.activations) {
      if (activation.instance !== instance || activation.epoch !== epoch) continue;
      if (activation.endedAt === null && !activation.wasUnguarded)
        this.break('one-activation', `${instance} is released at ${epoch}, and runs in ${activation.process.name}`);
    }
  }

  /** The store has forgotten something of an instance, of which it has this pin now. */
  forgotten(key: InstanceKey, pin: Pin | null): void {
    const known = this.pins.get(key);
    if (known === undefined) return;
    this.halfForgotten.add(`${known.identity.className}/${known.identity.id}`);
    if (pin === null) this.pins.delete(key);
    else this.pinChanged(key, pin);
  }

  /** The store has written durable state for an activation. */
  stateWritten({ key, epoch }: StateOwner): void {
    const pin = this.pins.get(key);
    this.#timeline.note(null, 'state written', `${pin?.identity.className}/${pin?.identity.id} at ${epoch}`);
    if (pin?.epoch !== epoch)
      this.break('fenced-writes', `state of ${pin?.identity.id} is written at ${epoch}, its pin has ${pin?.epoch}`);
  }

  /** The same of records of its spawned calls. */
  callsWritten({ key, epoch }: StateOwner): void {
    const pin = this.pins.get(key);
    if (pin?.epoch !== epoch)
      this.break('fenced-writes', `calls of ${pin?.identity.id} are recorded at ${epoch}, its pin has ${pin?.epoch}`);
  }

  began(operation: Operation): void {
    this.operations.set(operation.id, operation);
    this.#timeline.note(
      operation.process,
      `${operation.what} ${operation.method}`,
      `${operation.id} ${operation.instance}`,
    );
  }

  settled(
    operation: Operation,
    result: { readonly result: string; readonly outcome: string | null; readonly message: string },
  ): void {
    Object.assign(operation, result, { settledAt: this.#timeline.now });
    this.#timeline.note(
      operation.process,
      `settled ${operation.id}`,
      `${result.result} ${result.outcome ?? ''} ${result.message}`,
    );
  }

  activated(process: SimProcess, instance: string, epoch: number): Activation {
    const activation: Activation = {
      number: this.activations.length + 1,
      instance,
      epoch,
      process,
      loan: this.loans.get(process) ?? null,
      startedAt: this.#timeline.now,
      enteredAt: null,
      exits: 0,
      endedAt: null,
      wasUnguarded: false,
      hasStoodStill: false,
      running: new Set(),
    };
    this.activations.push(activation);
    this.#timeline.note(process, 'activates', `${instance} at ${epoch}`);
    process.onDeath(() => this.ended(activation));
    return activation;
  }

  ended(activation: Activation): void {
    activation.endedAt ??= this.#timeline.now;
  }

  ran(activation: Activation, operation: string): Run {
    const run: Run = {
      operation,
      activation,
      startedAt: this.#timeline.now,
      endedAt: null,
      hasCommitted: false,
      armedForMs: null,
    };
    append(this.runs, operation, run);
    append(this.#ledger, activation.instance, run);
    activation.running.add(run);
    this.#timeline.note(activation.process, 'runs', `${operation} in ${activation.instance} at ${activation.epoch}`);
    return run;
  }

  /** Which operation has run with the key in that activation before, in whichever of its containers; null: none. */
  keyRan({ instance, epoch }: Activation, key: string, operation: string): string | null {
    const name = `${instance}@${epoch}:${key}`;
    const before = this.#keys.get(name) ?? null;
    this.#keys.set(name, operation);
    return before;
  }

  /** A spawned call of that instance ends as lost. */
  callLost(callId: string, key: InstanceKey): void {
    if (!this.lostCalls.has(callId)) this.lostCalls.set(callId, this.pins.get(key)?.state ?? 'gone');
  }

  armed(run: Run, atMs: number): void {
    run.armedForMs = atMs;
    this.#timeline.note(run.activation.process, 'sets the alarm', `${run.activation.instance} for ${atMs}`);
  }

  /** The method for an alarm has come to its end. */
  rang(instance: string, atMs: number): void {
    this.rings.add(`${instance}@${atMs}`);
    this.#timeline.note(null, 'rang', `${instance} for ${atMs}`);
  }

  stopped(run: Run): void {
    run.endedAt = this.#timeline.now;
    run.activation.running.delete(run);
  }

  committed(commit: Commit): void {
    this.commits.push(commit);
    this.#timeline.note(null, 'commits', `${commit.operation} of ${commit.instance} at ${commit.epoch}`);
  }
}

function append<T>(map: Map<string, T[]>, key: string, item: T): void {
  const items = map.get(key);
  if (items === undefined) map.set(key, [item]);
  else items.push(item);
}
