import type { BatchOptions } from '../../common/batches.js';

/**
 * Frames of the data path, between client and worker (inside a link's batches) and between worker and container (on the
 * container's socket). A batch is any number of frames, one after the other:
 *
 *   u32 length of what follows | u8 kind | f64 ref | u32 slot | body
 *
 * All numbers are little-endian. `ref` names a call (or tunnel) on that hop, `slot` an instance on that hop; a worker
 * forwards a frame by patching both in place and never looks at the payload. `ref` is a float64 because its 53 bits never
 * run out and read faster than a BigInt.
 */
export const FrameKind = {
  /** slot: from now on this instance. body: msgpack `BindBody`. */
  Bind: 1,
  /** body: see `callOffsets`; then the method's name, the meta and the first bytes of the payload. */
  Call: 2,
  /** More bytes of the payload of `ref`, on credit. */
  Chunk: 3,
  /** body: u32, bytes of payload that may now be sent for `ref`. */
  Credit: 4,
  /** body: u8 `CancelReason`. */
  Cancel: 5,
  /** body: u32 length of the whole payload | its first bytes. */
  Result: 6,
  /** body: msgpack `WireError` (wire/errors). */
  Error: 7,
  /** One value of a generator. body: as `Result`. */
  Yield: 8,
  /** The generator is done. */
  End: 9,
  /** Not admitted: wrong epoch, or draining. The client resolves again. From a container: it was recalled before it began. */
  Moved: 10,
  /**
   * ref: number of the request, slot: from now on the instance that is made. body: msgpack `MakeBody`. Answered with `Made`, or
   * `Moved`: ask a router.
   */
  Make: 11,
  /** body: msgpack `MadeBody`. */
  Made: 12,

  // Between worker and container only.
  /** body: msgpack `LoadBody`. */
  Load: 20,
  Loaded: 21,
  /** body: msgpack `WireError`. */
  LoadFailed: 22,
  /** slot: its number from now on. body: msgpack `ActivateBody`. */
  Activate: 23,
  Activated: 24,
  /** body: msgpack `WireError`. */
  ActivationFailed: 25,
  /** body: msgpack `DeactivateBody`. */
  Deactivate: 26,
  /** body: msgpack `DeactivatedBody`. */
  Deactivated: 27,
  /** body: msgpack `LogBody`; slot 0: of no instance. */
  Log: 28,
  /** Before the result of a call whose code goes on after it: the slot stays taken. */
  Detach: 29,
  /** ref: number of the tunnel. body: UTF-8, empty for the router, else the worker's `host:port`. */
  TunnelOpen: 30,
  /** body: one message of the tunnelled channel. */
  TunnelData: 31,
  /** body: empty, or msgpack `WireError`. */
  TunnelClose: 32,
  /** ref: number of the request. body: msgpack `UnaryBody`. */
  Unary: 33,
  /** body: u8 1 | answer, or u8 0 | msgpack `WireError`. */
  UnaryReply: 34,
  /** The code of a detached call has stopped. */
  Detached: 35,
  /** ref: number of the request, slot: whose durable state. body: see wire/state-bodies. */
  State: 36,
  /** body: u8 1 | MessagePack of the answer, or u8 0 | msgpack `WireError`. */
  StateReply: 37,
} as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

/** From the start of a frame (its length field). */
export const frameOffsets = { length: 0, kind: 4, ref: 5, slot: 13, body: 17 } as const;

/** Of a `Call`, from the start of its body. */
export const callOffsets = {
  flags: 0,
  remainingMs: 1,
  payloadLength: 5,
  metaLength: 9,
  methodLength: 11,
  method: 12,
} as const;

/**
 * `flags` of a `Call`. The last two are a worker's to its container: `queued` begins when the instance has a slot free, `reader`
 * takes none.
 */
export const CallFlag = { generator: 1, queued: 2, reader: 4 } as const;

export const CancelReason = { caller: 0, deadline: 1, forceClose: 2, fenced: 3, abandoned: 4, recalled: 5 } as const;
export type CancelReason = (typeof CancelReason)[keyof typeof CancelReason];

/**
 * Bytes of a payload that travel without credit; also the most that a chunk carries. More than 64 KiB, which is what many choose for
 * their pieces: with what the codec puts beside them they would be a few bytes too long, and wait for credit both ways.
 */
export const inlinePayloadBytes = 69_632;
/** Credit of a generator before its reader has taken anything; a value costs its bytes and `yieldOverheadBytes`. */
export const initialYieldCreditBytes = 262_144;
export const yieldOverheadBytes = 64;
/** The most credit that is outstanding for one large payload. */
export const chunkWindowBytes = 1_048_576;
export const defaultMaxPayloadBytes = 268_435_456;
/** A batch is sent when it is this long. */
export const batchBytes = 65_536;

export interface BindBody {
  readonly key: string;
  readonly generation: number;
  readonly epoch: number;
  /** Signed by the router; see wire/capability. */
  readonly capability: string;
  /** The pin, encoded, where it stands at `placing` there: whoever brings it asks the worker to take the instance. */
  readonly pin?: Uint8Array;
}

/** A name that was never used, as far as who asks knows, to be made by the worker that a grant names (S13). */
export interface MakeBody {
  /** See wire/grant. */
  readonly grant: string;
  readonly id: string;
  /** Encoded constructor arguments (wire/codec), at most `broughtArgsBytes`; absent: none were given. */
  readonly args?: Uint8Array;
}

/** What a router would have said of it; the rest stands in the grant. Its generation is its epoch; a slot names it already. */
export interface MadeBody {
  readonly key: string;
  readonly epoch: number;
  /** Of its handle. */
  readonly signature: string;
}

/** Of arguments that travel to a worker with a first call, or with the name of what it is to make. */
export const broughtArgsBytes = 4_096;

/** One call on the way from the first caller to this one. */
export interface ChainLink {
  /** `<containerId>.<ref>`, as the worker knows it. */
  readonly callId: string;
  /** `app/Class/id.method`, for messages. */
  readonly label: string;
}

/** What rarely travels: an absent field is left out. */
export interface CallMeta {
  readonly idempotencyKey?: string;
  readonly chain?: readonly ChainLink[];
  /** W3C traceparent. */
  readonly traceparent?: string;
  /** 2 and up; absent for the first. */
  readonly attempt?: number;
  /** Answered with nothing when it is admitted and recorded under this id; see common/spawned-call. */
  readonly spawn?: { readonly id: string /** It may have been asked for before. */; readonly isRepeated: boolean };
}

export interface LoadBody {
  readonly containerId: string;
  readonly account: string;
  readonly app: string;
  readonly deployment: number;
  readonly bundlePath: string;
  readonly bundleSha256: string;
  readonly memoryMb: number;
  /** Of one command of a sandbox. */
  readonly timeoutMs: number;
  /** Added to the container's environment before the bundle is loaded. */
  readonly env: Readonly<Record<string, string>>;
  /** The class of all its instances. */
  readonly className: string;
  readonly enterHooks: readonly string[];
  readonly exitHooks: readonly string[];
  /** What its worker may call: the alarm's method too. */
  readonly methods: readonly string[];
  readonly hasAlarm: boolean;
  /** Methods whose single calls are gathered; absent: none. */
  readonly batches?: Readonly<Record<string, BatchOptions>>;
  /** Slots for calls, of each instance. */
  readonly concurrentRequests: number;
}

/** What an instance has of its own: a container may have very many. */
export interface ActivateBody {
  readonly id: string;
  readonly epoch: number;
  readonly restarted: boolean;
  /** Encoded constructor arguments (wire/codec). */
  readonly args: Uint8Array;
}

export interface DeactivateBody {
  /** Null: no `exit` hooks, just forget it. */
  readonly reason: 'close' | 'idle' | 'drain' | 'redeploy' | null;
  readonly timeoutMs: number;
}

export interface DeactivatedBody {
  readonly exitHook: 'ran' | 'failed' | 'timed-out' | 'skipped' | 'none';
  readonly error?: string;
}

export interface LogBody {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly callId?: string;
}

export interface UnaryBody {
  readonly method: string;
  readonly request: Uint8Array;
  readonly timeoutMs: number;
}
