import type { CheckPlan } from './check.js';
import type { LoadPlan } from './closed-loop.js';
import type { LoadResult } from './latencies.js';

/** What a load generator can talk to. */
export type Destination =
  | { readonly kind: 'tcp-echo' | 'tcp-container' | 'grpc-unary' | 'grpc-stream'; readonly port: number }
  | { readonly kind: 'holdfast'; readonly endpoint: string; readonly token: string; readonly className: string }
  | { readonly kind: 'peer'; readonly module: string; readonly address: string };

export interface ItemsPlan {
  /** Generators that are read at the same time. */
  readonly readers: number;
  readonly items: number;
}

export interface ColdPlan {
  readonly className: string;
  readonly callers: number;
  readonly names: number;
  readonly prefix: string;
}

export interface FirstCallsPlan {
  readonly className: string;
  readonly calls: number;
  readonly pauseMs: number;
  readonly prefix: string;
}

/** What a load generator does, one thing at a time, and what it answers. */
export interface Jobs {
  open: { readonly plan: Destination; readonly result: null };
  check: { readonly plan: CheckPlan; readonly result: number };
  load: { readonly plan: LoadPlan; readonly result: LoadResult };
  items: { readonly plan: ItemsPlan; readonly result: LoadResult };
  coldNames: { readonly plan: ColdPlan; readonly result: LoadResult };
  firstCalls: { readonly plan: FirstCallsPlan; readonly result: LoadResult };
}

export type JobRequest = {
  readonly [K in keyof Jobs]: { readonly kind: K; readonly plan: Jobs[K]['plan'] };
}[keyof Jobs];
export type JobReply = { readonly result: unknown } | { readonly error: string };
