import type { BootId, Epoch, Generation, Identity, WorkerId } from './ids.js';
import type { OnLoss, ResourceKind } from './manifest.js';

/**
 * `idle`: known, nowhere (asleep, drained, or lost with `recreate`). `closed`: a tombstone of 10 min. `lost`: its worker
 * died and `onLoss` is `fail`.
 */
export type PinState = 'idle' | 'placing' | 'active' | 'draining' | 'closing' | 'closed' | 'lost';

/** Its worker has it: code of it may run there. */
export function isAtWorker(state: PinState): boolean {
  return state === 'active' || state === 'draining' || state === 'closing';
}

/** Which worker has an instance, at which epoch (S3). Plain data; every change is one compare-and-set (S4). */
export interface Pin {
  readonly identity: Identity;
  /** A sandbox's session that sleeps has its files at the boot that had it last, and nowhere else. */
  readonly kind: ResourceKind;
  readonly generation: Generation;
  readonly epoch: Epoch;
  readonly state: PinState;
  /** Who has it, or had it last; null before the first placement only in tests. */
  readonly workerId: WorkerId | null;
  readonly bootId: BootId | null;
  readonly address: string | null;
  /** Version of the app's deployment that it runs on. */
  readonly deployment: number;
  /** The constructor's arguments as encoded by the first caller, and their hash (S1). */
  readonly args: Uint8Array;
  readonly argsHash: string;
  /** Of a session, for `list`. */
  readonly tags: readonly string[];
  readonly onLoss: OnLoss;
  /** The change that made this record, for reading back one that timed out (S4). */
  readonly opId: string;
  readonly createdAtMs: number;
  /** Activations after a loss. */
  readonly restarts: number;
  /** Set by a re-placement after a loss, for `currentContext().restarted`; of a session: it has no files, nor has it run since. */
  readonly restarted: boolean;
  /** Clients were told of it before its worker was: its generation stands, though it may never have run. */
  readonly isBrought: boolean;
  /** Why it was placed where it is, for `explain`. */
  readonly placement: PlacementNote | null;
  /** The last ten, oldest first. */
  readonly transitions: readonly PinTransition[];
}

export interface PinTransition {
  readonly atMs: number;
  readonly from: PinState | 'none';
  readonly to: PinState;
  readonly why: string;
}

export interface PlacementNote {
  readonly chosen: string;
  readonly score: number;
  readonly rejected: readonly { readonly workerId: string; readonly why: string }[];
  /** What it needs that the chosen one has already; absent: nothing. */
  readonly kept?: readonly string[];
}

/** What a change expects to find. `none`: no record at all. */
export type PinExpectation =
  | { readonly generation: Generation; readonly epoch: Epoch; readonly state: PinState }
  | 'none';

/** The fields of a change; the rest stays as it was. `generation` and `epoch` are the store's to give (see `PinChange`). */
export type PinFields = Omit<Pin, 'generation' | 'epoch' | 'opId' | 'transitions'>;

export interface PinChange {
  readonly expect: PinExpectation;
  readonly opId: string;
  /** `keep`, or `next`: max(old + 1, store clock in µs), assigned inside the compare-and-set (S2). */
  readonly epoch: 'keep' | 'next';
  /** `keep`, or `epoch`: the id is made or remade, the new epoch is its generation. */
  readonly generation: 'keep' | 'epoch';
  readonly fields: PinFields;
  readonly transitions: readonly PinTransition[];
  /** Life of the new record in the store; null: for ever. Only tombstones have one. */
  readonly ttlMs: number | null;
  /** The worker that has it lets go of it: nobody knows better, so this goes on in quarantine (S10). Default: false. */
  readonly byOwner?: boolean;
}

/**
 * What became of a pin that its worker has attested (S10). `stands`: as the worker knows it, now or as before. `ended`: its epoch is
 * over. `superseded`: there is a higher one.
 */
export type Attestation = 'stands' | 'ended' | 'superseded';

/** Who holds the pin after the attempt: `applied` (now or, read back by its opId, before), or what stands instead. */
export type PinChangeResult =
  | { readonly applied: true; readonly pin: Pin }
  | { readonly applied: false; readonly pin: Pin | null };

export const tombstoneTtlMs = 600_000;
const keptTransitions = 10;

/** A change of an existing pin to `to`, everything else as it is unless `set` says otherwise. */
export function pinChange(
  pin: Pin,
  to: PinState,
  change: {
    readonly opId: string;
    readonly why: string;
    readonly atMs: number;
    /** Default: keeps it. `first`: the next one, as the generation too. */
    readonly epoch?: 'next' | 'first';
    readonly set?: Partial<PinFields>;
    readonly byOwner?: boolean;
  },
): PinChange {
  const { generation, epoch, opId: _opId, transitions, ...fields } = pin;
  return {
    expect: { generation, epoch, state: pin.state },
    opId: change.opId,
    epoch: change.epoch === undefined ? 'keep' : 'next',
    generation: change.epoch === 'first' ? 'epoch' : 'keep',
    fields: { ...fields, ...change.set, state: to },
    transitions: [...transitions, { atMs: change.atMs, from: pin.state, to, why: change.why }].slice(-keptTransitions),
    ttlMs: to === 'closed' ? tombstoneTtlMs : null,
    ...(change.byOwner === undefined ? {} : { byOwner: change.byOwner }),
  };
}
