import type { BootId } from '../../../src/common/ids.js';
import type { SimProcess } from '../engine/sim-process.js';

/** A rule of docs/semantics.md that was broken. */
export interface Violation {
  /** Of `rules`, by which a failing seed is recognised while it is shrunk. */
  readonly rule: Rule;
  readonly text: string;
  readonly at: number;
}

export type Rule =
  /** S7, S8: two activations of one instance do not overlap; code neither, but for a machine that stood still. */
  | 'one-activation'
  /** S9: no commit of an older epoch after a newer one. */
  | 'fenced-writes'
  /** S4, S5: a change is made of what was seen, and known once it was made; what is placed becomes active where it was placed. */
  | 'pins'
  /** S7: what is past its lease answers nothing and starts nothing. */
  | 'fenced-silence'
  /** What was acknowledged is committed. */
  | 'acknowledged'
  /** A1, A2: an alarm whose setting was acknowledged stands or has rung, and one that is due rings. */
  | 'alarms'
  /** D3, D4, D5: durable state has all that was acknowledged, in its order, and nothing of a generation before. */
  | 'durable-state'
  /** R1, R2, R4: a spawned call that was acknowledged ends, once, and what may not run twice does not. */
  | 'spawned'
  /** C6, C7: a call that is not idempotent runs at most once; `not-run` never. */
  | 'at-most-once'
  /** C7: a key runs once in an activation. */
  | 'keys'
  /** C2: the calls of one caller begin in their order. */
  | 'order'
  /** C1: limits are exact. */
  | 'limits'
  /** C3: `enter` before any call; `exit` at most once and after all of them. */
  | 'hooks'
  /** An answer belongs to its call, values of a generator come in order. */
  | 'answers'
  /** S12: a handle reaches its generation and no other. */
  | 'generation'
  /** Nothing hangs past its deadline. */
  | 'deadline'
  /** After the faults are healed everything answers. */
  | 'liveness'
  /** Nothing passes vacuously. */
  | 'success'
  /** No error that nobody catches, no bug that reports itself. */
  | 'internal';

/** A client's operation. */
export interface Operation {
  readonly id: string;
  /** Who asks; the calls of one caller to one instance have an order. */
  readonly caller: string;
  readonly what: 'call' | 'spawn' | 'named' | 'attach' | 'close';
  readonly instance: string;
  readonly method: string;
  readonly isIdempotent: boolean;
  readonly key: string | null;
  readonly number: number;
  /** They come in pieces: it begins when the last one is there. */
  readonly hasLargeArguments: boolean;
  /** Of the handle that it goes through; null: not known yet. */
  readonly generation: number | null;
  readonly startedAt: number;
  /** True time by which it must be settled, unless its process stood still. */
  readonly dueAt: number;
  readonly process: SimProcess;
  /** For how long its process had stood still when it began. */
  readonly stoppedMs: number;
  /** `ok`, or an error's code; null: not settled. */
  result: string | null;
  /** Of an error. */
  outcome: string | null;
  /** What `keep` has answered. */
  count: number | null;
  settledAt: number;
  message: string;
}

/** One run of a method's code in a container. */
export interface Run {
  readonly operation: string;
  readonly activation: Activation;
  readonly startedAt: number;
  endedAt: number | null;
  /** Its answer says that it was written outside. */
  hasCommitted: boolean;
  /** For when it has set the alarm; null: it has not. */
  armedForMs: number | null;
}

/** Of a container: the boot of whose pool it is, and the boot on whose machine it runs. */
export interface Loan {
  readonly borrower: BootId;
  readonly lender: BootId;
}

/** One object of the user's class. */
export interface Activation {
  readonly number: number;
  /** `Class/id`. */
  readonly instance: string;
  readonly epoch: number;
  readonly process: SimProcess;
  /** Null: its worker has the pin. */
  readonly loan: Loan | null;
  readonly startedAt: number;
  enteredAt: number | null;
  exits: number;
  /** When its code surely ended: its container is dead, or `exit` has run. */
  endedAt: number | null;
  /** At some moment neither its worker nor its watchdog could act: how long its code went on nobody promises. */
  wasUnguarded: boolean;
  /** Of one in a container that is lent: its lender's worker stood still, and its watchdog alone could end it. */
  hasStoodStill: boolean;
  readonly running: Set<Run>;
}

/** A write to the outside system, which checks epochs. */
export interface Commit {
  readonly instance: string;
  readonly epoch: number;
  readonly operation: string;
  readonly at: number;
}

/** The processes of a boot. */
export interface BootProcesses {
  readonly worker: SimProcess;
  readonly watchdog: SimProcess;
}
