import type { WakeOrder } from '../engine/sim-process.js';
import type { LinkQuality } from '../net/network.js';
import type { ScenarioName } from './make-scenario.js';

/** All that a seed decides about a world, as plain data: a plan can be shortened, printed and run again. */
export interface Plan {
  readonly seed: string;
  readonly routers: number;
  readonly workers: readonly WorkerPlan[];
  readonly clients: readonly ClientPlan[];
  readonly faults: readonly Fault[];
  /** What some of the clients and faults are for; null: nothing in particular. */
  readonly scenario: ScenarioName | null;
  /** True time at which every fault is over. */
  readonly healAtMs: number;
  readonly leaseTtlMs: number;
  readonly network: LinkQuality;
  /** By how much a host's clock is faster or slower at most, as a part of 1. */
  readonly clockDrift: number;
  /** Of kills that take up to 2.5 s. */
  readonly slowKills: number;
  readonly busReorders: boolean;
  /** Chances at any time, beside the faults. */
  readonly store: { readonly lostRequest: number; readonly lostReply: number };
  readonly code: {
    readonly throws: number;
    readonly hangs: number;
    readonly failedStarts: number;
    readonly crashes: number;
  };
}

export interface WorkerPlan {
  readonly maxContainers: number;
  readonly warmContainers: number;
  /** Of its host; pools whose containers do not fit into them are lent some by others first. */
  readonly cpuCores: number;
}

export interface ClientPlan {
  /** What it does at the same time; each lane is one step after the other. */
  readonly lanes: readonly (readonly Step[])[];
}

export interface InstanceRef {
  readonly className: string;
  readonly id: string;
}

export type Step =
  | CallStep
  | ({ readonly kind: 'attach' } & Timed)
  | ({ readonly kind: 'close'; readonly force: boolean } & Timed);

export interface CallStep extends Timed {
  readonly kind: 'call';
  readonly call: CallPlan;
  /** At once; 0: the instance is only asked for. */
  readonly times: number;
  readonly stall: Stall | null;
}

/** One of calls that come at once takes longer than the others, so that some wait behind it which were sent ahead. */
interface Stall {
  readonly at: number;
  readonly workMs: number;
  /** The instance is closed meanwhile. */
  readonly isClosed: boolean;
}

interface Timed {
  /** After the step before. */
  readonly pauseMs: number;
  readonly instance: InstanceRef;
}

export interface CallPlan {
  readonly method: 'append' | 'put' | 'keep' | 'arm' | 'tick' | 'once' | 'look' | 'count' | 'relay';
  readonly timeoutMs: number;
  readonly workMs: number;
  readonly isDeaf: boolean;
  readonly argumentBytes: number;
  readonly resultBytes: number;
  /** The caller gives up after this; null: never. */
  readonly cancelAfterMs: number | null;
  /** Of `count`; it stops reading after `read`. */
  readonly items: number;
  readonly read: number;
  /** Of `relay`. */
  readonly to: InstanceRef | null;
  /** Of `once`. */
  readonly key: string;
  /** Its result is not awaited. */
  readonly isSpawned: boolean;
}

/** One that asks for nothing in particular. */
export const plainCall: CallPlan = {
  method: 'tick',
  timeoutMs: 60_000,
  workMs: 0,
  isDeaf: false,
  argumentBytes: 0,
  resultBytes: 0,
  cancelAfterMs: null,
  items: 1,
  read: 1,
  to: null,
  key: '',
  isSpawned: false,
};

export type Fault = FaultKind & {
  readonly atMs: number;
  readonly forMs: number;
};

/** Hosts by name: `r0`, `w0`, `c0`, `store`, `bus`, `objects`, `outside`. */
export type FaultKind =
  | { readonly kind: 'kill'; readonly target: string; readonly what: KillTarget }
  | { readonly kind: 'stop'; readonly target: string; readonly what: StopTarget; readonly order: WakeOrder }
  | { readonly kind: 'power-off'; readonly target: string }
  | { readonly kind: 'cut'; readonly from: string; readonly to: string; readonly isOneWay: boolean }
  | { readonly kind: 'isolate'; readonly target: string }
  | { readonly kind: 'flap'; readonly from: string; readonly to: string; readonly everyMs: number }
  | { readonly kind: 'reset'; readonly from: string; readonly to: string }
  | {
      readonly kind: 'slow';
      readonly from: string;
      readonly to: string;
      readonly factor: number;
      readonly loss: number;
    }
  | { readonly kind: 'store-down' }
  | {
      readonly kind: 'store-trouble';
      readonly lostRequest: number;
      readonly lostReply: number;
      readonly slownessMs: number;
    }
  | { readonly kind: 'store-failover'; readonly lagMs: number }
  | { readonly kind: 'drain'; readonly target: string }
  /** A router, in order. */
  | { readonly kind: 'close'; readonly target: string }
  /** At a router: another version of the app, to which what runs moves or not. */
  | { readonly kind: 'redeploy'; readonly target: string; readonly instances: 'keep' | 'restart' }
  | { readonly kind: 'clock-jump'; readonly target: string; readonly byMs: number };

export type KillTarget = 'process' | 'watchdog' | 'both' | 'container';
export type StopTarget = 'process' | 'watchdog' | 'both' | 'container' | 'all';
