import type { Generation, Identity, InstanceKey } from './ids.js';

declare const brand: unique symbol;
/** Names one spawned call of the cluster; it says which instance has it. */
export type CallId = string & { readonly [brand]: 'CallId' };

/** What a spawned call has come to. `lost`: it had begun when its worker died, and must not be run again. */
export type SpawnedState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'lost';

/** What is said of a call once, when it is recorded. */
export interface CallHead {
  readonly identity: Identity;
  readonly generation: Generation;
  readonly method: string;
  /** Runs again when nobody knows how it ended. */
  readonly isIdempotent: boolean;
  readonly spawnedAtMs: number;
}

/** What changes. Times are ms since 1970, by the clock of whoever wrote them. */
export interface CallProgress {
  readonly state: SpawnedState;
  /** 1 and up. */
  readonly attempt: number;
  /** How often nobody knew how it ended, and it was put back. */
  readonly losses: number;
  /** Of this attempt. */
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
}

/** For how long after its end a call can be asked for (R3). */
export const keptCallMs = 86_400_000;
/** Of arguments, and of results: records lie in the store, and larger things in volumes (R5). */
export const mostCallBytes = 1_048_576;

/** @param unique 22 to 26 characters of base64url, drawn or derived */
export function callId(key: InstanceKey, unique: string): CallId {
  return `fc-${key}-${unique}` as CallId;
}

const pattern = /^fc-([\w-]{22})-([\w-]{22,26})$/;

/** The instance that has it; null: no such id is ever given. */
export function instanceOfCall(id: string): InstanceKey | null {
  return (pattern.exec(id)?.[1] ?? null) as InstanceKey | null;
}

export function isEnded({ state }: Pick<CallProgress, 'state'>): boolean {
  return state !== 'queued' && state !== 'running';
}
