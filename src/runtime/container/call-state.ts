import type { GeneratorPump } from './generator-pump.js';
import type { IncomingPayload } from './incoming-payload.js';
import type { OutgoingPayload } from './outgoing-payload.js';

/** Where a call of a container is. */
export type CallState =
  /** Sent before it had a slot. */
  | { readonly phase: 'queued' }
  | { readonly phase: 'receiving'; readonly payload: IncomingPayload }
  | { readonly phase: 'running' }
  | { readonly phase: 'streaming'; readonly pump: GeneratorPump }
  | { readonly phase: 'sending'; readonly result: OutgoingPayload }
  /** Answered; its code goes on. */
  | { readonly phase: 'detached' }
  | { readonly phase: 'done' };

// Shared, so that the common call allocates no state.
export const queued: CallState = { phase: 'queued' };
export const running: CallState = { phase: 'running' };
export const done: CallState = { phase: 'done' };
