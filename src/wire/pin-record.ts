import { HoldfastError } from '../common/errors.js';
import type { BootId, WorkerId } from '../common/ids.js';
import type { Pin, PinState, PinTransition, PlacementNote } from '../common/pin.js';
import { encodeArgs, hashArgs } from './codec/codec.js';

/**
 * A pin as text: `generation epoch state opId\n`, then one JSON object. The header is all that a store's compare-and-set
 * has to read or write. What is empty, null, zero or false is left out of the JSON.
 */
interface PinBody {
  /** account, app, class, id */
  readonly i: readonly [string, string, string, string];
  readonly w?: string;
  readonly b?: string;
  readonly a?: string;
  /** deployment */
  readonly d?: number;
  /** args, base64; 0: those and their hash are of no arguments, as they mostly are */
  readonly g?: string | 0;
  readonly h?: string;
  /** 1: a session of a sandbox */
  readonly k?: 1;
  readonly tags?: readonly string[];
  /** 1: onLoss is `fail` */
  readonly l?: 1;
  /** createdAtMs */
  readonly t: number;
  /** restarts */
  readonly r?: number;
  /** 1: restarted */
  readonly x?: 1;
  /** 1: isBrought */
  readonly y?: 1;
  /** chosen (0: the worker that has it), score, rejected, kept (absent where it is nothing) */
  readonly n?: readonly [string | 0, number, readonly (readonly [string, string])[], (readonly string[])?];
  /** transitions: ms after createdAtMs, letters of from and to, why */
  readonly s?: readonly (readonly [number, string, string])[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Everything of a pin that is not in the header, but for its transitions. */
export type PinBodyFields = Omit<Pin, 'generation' | 'epoch' | 'state' | 'opId' | 'transitions'>;

type TransitionState = PinTransition['from'];

const noArguments: Uint8Array = Uint8Array.from(encodeArgs([]));
const hashOfNone = hashArgs(noArguments);

const letters: Readonly<Record<TransitionState, string>> = {
  none: 'n',
  idle: 'i',
  placing: 'p',
  active: 'a',
  draining: 'd',
  closing: 'c',
  closed: 'x',
  lost: 'l',
};
const states = new Map(Object.entries(letters).map(([state, letter]) => [letter, state as TransitionState]));

/** @throws InvalidArgument when the opId has a space or is empty */
export function encodePin(pin: Pin): Buffer {
  const header = `${pin.generation} ${pin.epoch} ${pin.state} ${checkedOpId(pin.opId)}`;
  return Buffer.from(`${header}\n${encodePinBody(pin, pin.transitions)}`, 'utf8');
}

/** The same as text, in one piece: V8 would keep the parts that it was put together from, which take more. */
export function pinText(pin: Pin): string {
  return encodePin(pin).toString('utf8');
}

/** The JSON after the header, for stores that assemble the header themselves. */
export function encodePinBody(pin: PinBodyFields, transitions: readonly PinTransition[]): string {
  const { identity, createdAtMs, args, placement } = pin;
  const body: Mutable<PinBody> = {
    i: [identity.account, identity.app, identity.className, identity.id],
    t: createdAtMs,
  };
  if (pin.workerId !== null) body.w = pin.workerId;
  if (pin.bootId !== null) body.b = pin.bootId;
  if (pin.address !== null) body.a = pin.address;
  if (pin.deployment !== 0) body.d = pin.deployment;
  if (hasNoArguments(pin)) body.g = 0;
  else {
    if (args.length > 0) body.g = base64(args);
    if (pin.argsHash !== '') body.h = pin.argsHash;
  }
  if (pin.kind === 'sandbox') body.k = 1;
  if (pin.tags.length > 0) body.tags = pin.tags;
  if (pin.onLoss === 'fail') body.l = 1;
  if (pin.restarts !== 0) body.r = pin.restarts;
  if (pin.restarted) body.x = 1;
  if (pin.isBrought) body.y = 1;
  if (placement !== null) body.n = encodePlacement(placement, pin.workerId);
  if (transitions.length > 0) body.s = transitions.map((made) => encodeTransition(made, createdAtMs));
  return JSON.stringify(body);
}

/** @throws Internal when this is not a pin record */
export function decodePin(record: Uint8Array | string): Pin {
  const text = typeof record === 'string' ? record : asBuffer(record).toString('utf8');
  const end = text.indexOf('\n');
  const header = /^(\d{1,16}) (\d{1,16}) ([a-z]+) (\S+)$/.exec(text.slice(0, Math.max(end, 0)));
  const state = header?.[3];
  if (!header || !isPinState(state)) throw notAPin(text, 'no header line `generation epoch state opId`');
  const body = parseBody(text, end + 1);
  const [account, app, className, id] = body.i;
  return {
    identity: { account, app, className, id },
    kind: body.k === 1 ? 'sandbox' : 'class',
    generation: Number(header[1]),
    epoch: Number(header[2]),
    state,
    workerId: (body.w ?? null) as WorkerId | null,
    bootId: (body.b ?? null) as BootId | null,
    address: body.a ?? null,
    deployment: body.d ?? 0,
    args: decodeArguments(body.g),
    argsHash: body.g === 0 ? hashOfNone : (body.h ?? ''),
    tags: body.tags ?? [],
    onLoss: body.l === 1 ? 'fail' : 'recreate',
    opId: header[4] ?? '',
    createdAtMs: body.t,
    restarts: body.r ?? 0,
    restarted: body.x === 1,
    isBrought: body.y === 1,
    placement: body.n === undefined ? null : decodePlacement(body.n, body.w ?? null),
    transitions: (body.s ?? []).map((made) => decodeTransition(made, body.t)),
  };
}

/** The opId, which ends the header line. @throws InvalidArgument */
export function checkedOpId(opId: string): string {
  if (/^\S{1,128}$/.test(opId)) return opId;
  throw new HoldfastError(
    'InvalidArgument',
    `opId ${JSON.stringify(opId)} of a pin change: expected 1 to 128 characters without spaces`,
  );
}

function parseBody(text: string, from: number): PinBody {
  let body: unknown;
  try {
    body = JSON.parse(text.slice(from));
  } catch (cause) {
    throw notAPin(text, 'the rest is not JSON', cause);
  }
  if (!isPinBody(body)) throw notAPin(text, 'the JSON has no identity or no creation time');
  return body;
}

function isPinBody(body: unknown): body is PinBody {
  if (typeof body !== 'object' || body === null || !('i' in body) || !('t' in body)) return false;
  const { i, t } = body;
  return Array.isArray(i) && i.length === 4 && i.every((part) => typeof part === 'string') && typeof t === 'number';
}

function isPinState(state: string | undefined): state is PinState {
  return state !== undefined && state !== 'none' && Object.hasOwn(letters, state);
}

function hasNoArguments({ args, argsHash }: PinBodyFields): boolean {
  return argsHash === hashOfNone && Buffer.compare(args, noArguments) === 0;
}

function decodeArguments(g: PinBody['g']): Uint8Array {
  if (g === undefined) return new Uint8Array();
  return new Uint8Array(g === 0 ? noArguments : Buffer.from(g, 'base64'));
}

function encodePlacement(
  { chosen, score, rejected, kept }: PlacementNote,
  workerId: WorkerId | null,
): NonNullable<PinBody['n']> {
  const others = rejected.map(({ workerId: id, why }) => [id, why] as const);
  const who = chosen === workerId ? 0 : chosen;
  return kept === undefined ? [who, score, others] : [who, score, others, kept];
}

function decodePlacement(
  [chosen, score, rejected, kept]: NonNullable<PinBody['n']>,
  workerId: string | null,
): PlacementNote {
  return {
    ...(kept === undefined ? {} : { kept }),
    chosen: chosen === 0 ? (workerId ?? '') : chosen,
    score,
    rejected: rejected.map(([id, why]) => ({ workerId: id, why })),
  };
}

function encodeTransition({ atMs, from, to, why }: PinTransition, createdAtMs: number): [number, string, string] {
  return [atMs - createdAtMs, letters[from] + letters[to], why];
}

function decodeTransition(
  [afterMs, change, why]: readonly [number, string, string],
  createdAtMs: number,
): PinTransition {
  const to = states.get(change[1] ?? '');
  return {
    atMs: createdAtMs + afterMs,
    from: states.get(change[0] ?? '') ?? 'none',
    to: to === undefined || to === 'none' ? 'idle' : to,
    why,
  };
}

function notAPin(text: string, why: string, cause?: unknown): HoldfastError {
  return new HoldfastError(
    'Internal',
    `a pin record of ${text.length} characters does not decode: ${why}; it was written by another version or another program`,
    { cause },
  );
}

function base64(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('base64');
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
