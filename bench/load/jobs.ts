import type { CheckPlan } from './check.js';
import type { LoadPlan } from './closed-loop.js';
import type { Disturbance } from './disturbance.js';
import type { FirstCallsPlan } from './first-calls.js';
import type { IdleSessionsPlan } from './idle-sessions.js';
import type { ItemsPlan } from './items.js';
import type { LoadSample } from './latencies.js';
import type { ResolvesPlan } from './resolves.js';
import type { SandboxPlan } from './sandbox-steps.js';
import type { VolumePlan } from './volume-steps.js';

export type FloorName = 'tcp-echo' | 'tcp-container' | 'grpc-unary' | 'grpc-stream';

/** What a load generator has by itself. */
export type BareDestination =
  | { readonly kind: 'bare-sandbox' }
  /** @param folder for what they leave */
  | { readonly kind: 'plain-disk' | 'mounts'; readonly folder: string };

/** What a load generator can talk to. */
export type Destination =
  | BareDestination
  /** `path`: of its router and its worker. */
  | { readonly kind: FloorName | 'path'; readonly ports: readonly number[] }
  | {
      readonly kind: 'holdfast';
      readonly endpoint: string;
      readonly token: string;
      readonly className: string;
      /** How many instances share the calls; they are named by `prefix`. */
      readonly instances: number;
      readonly prefix: string;
    }
  | { readonly kind: 'peer'; readonly module: string; readonly address: string };

/** What a load generator does, one thing at a time, and what it answers. */
export interface Jobs {
  open: { readonly plan: Destination; readonly result: null };
  check: { readonly plan: CheckPlan; readonly result: number };
  load: { readonly plan: LoadPlan; readonly result: LoadSample };
  items: { readonly plan: ItemsPlan; readonly result: LoadSample };
  firstCalls: { readonly plan: FirstCallsPlan; readonly result: LoadSample };
  endFirstCalls: { readonly plan: null; readonly result: null };
  sandbox: { readonly plan: SandboxPlan; readonly result: LoadSample };
  sessions: { readonly plan: IdleSessionsPlan; readonly result: LoadSample };
  sampleSessions: {
    readonly plan: { readonly times: number; readonly every: number; readonly pauseMs: number };
    readonly result: LoadSample;
  };
  endSessions: { readonly plan: IdleSessionsPlan; readonly result: null };
  /** Null: no more. */
  disturb: { readonly plan: { readonly what: Disturbance | null }; readonly result: null };
  volume: { readonly plan: VolumePlan; readonly result: LoadSample };
  /** Bytes that were taken from where the volumes are stored, since the beginning. */
  fetched: { readonly plan: null; readonly result: number };
  closeVolumes: { readonly plan: null; readonly result: null };
  resolves: { readonly plan: ResolvesPlan; readonly result: LoadSample };
}

export type JobRequest = {
  readonly [K in keyof Jobs]: { readonly kind: K; readonly plan: Jobs[K]['plan'] };
}[keyof Jobs];
export type JobReply = { readonly result: unknown } | { readonly error: string };
