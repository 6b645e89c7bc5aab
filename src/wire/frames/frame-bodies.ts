import { Packr, Unpackr } from 'msgpackr';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { scanMessage } from '../codec/codec-scan.js';
import { packIntoOwn } from '../codec/pack-memory.js';
import {
  type BindBody,
  broughtArgsBytes,
  type CallMeta,
  type ChainLink,
  type MadeBody,
  type MakeBody,
  type UnaryBody,
} from './frames.js';

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, copyBuffers: true, structuredClone: false });
/** Of an instance: it is kept for as long as its slot. */
const maxKeyLength = 64;
/** Calls behind each other in `CallMeta.chain`. */
const maxChain = 256;

/** The MessagePack of a frame's body (`…Body` and `CallMeta` in frames): plain data and bytes. */
export function encodeBody(body: object): Buffer {
  packIntoOwn(packr);
  return packr.pack(body);
}

/** The reverse, safe for bytes from anyone; what is in it is for the reader to check. @throws InvalidArgument */
export function decodeBody(bytes: Uint8Array): Record<string, unknown> {
  scanMessage(bytes, 0);
  try {
    const body = unpackr.unpack(bytes);
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body;
  } catch (error) {
    if (isHoldfastError(error)) throw error;
  }
  throw new HoldfastError('InvalidArgument', 'the body of a frame is not a map');
}

/** @throws InvalidArgument */
export function readBind(bytes: Uint8Array): BindBody {
  const { key, generation, epoch, capability, pin } = decodeBody(bytes);
  const isKey = typeof key === 'string' && key.length <= maxKeyLength;
  const isBind = isKey && typeof capability === 'string' && isCount(generation) && isCount(epoch);
  if (!isBind || !(pin === undefined || pin instanceof Uint8Array)) {
    throw new HoldfastError(
      'InvalidArgument',
      'the body of a Bind needs key, generation, epoch and capability, and may have a pin',
    );
  }
  return { key, generation, epoch, capability, ...(pin === undefined ? {} : { pin }) };
}

/** @throws InvalidArgument */
export function readMake(bytes: Uint8Array): MakeBody {
  const { grant, id, args } = decodeBody(bytes);
  const hasArgs = args === undefined || (args instanceof Uint8Array && args.length <= broughtArgsBytes);
  if (typeof grant !== 'string' || typeof id !== 'string' || !hasArgs) {
    throw new HoldfastError(
      'InvalidArgument',
      `the body of a Make needs grant and id, and may have args of at most ${broughtArgsBytes} bytes`,
    );
  }
  return { grant, id, ...(args === undefined ? {} : { args: args as Uint8Array }) };
}

/** @throws InvalidArgument */
export function readMade(bytes: Uint8Array): MadeBody {
  const { key, epoch, signature } = decodeBody(bytes);
  if (typeof key !== 'string' || typeof signature !== 'string' || !isCount(epoch))
    throw new HoldfastError('InvalidArgument', 'the body of a Made needs key, epoch and signature');
  return { key, epoch, signature };
}

/** @throws InvalidArgument */
export function readMeta(bytes: Uint8Array): CallMeta {
  const { idempotencyKey, chain, traceparent, attempt, spawn } = decodeBody(bytes);
  const isMeta =
    (idempotencyKey === undefined || typeof idempotencyKey === 'string') &&
    (traceparent === undefined || typeof traceparent === 'string') &&
    (attempt === undefined || isCount(attempt)) &&
    (spawn === undefined || isSpawn(spawn)) &&
    (chain === undefined || (Array.isArray(chain) && chain.length <= maxChain && chain.every(isChainLink)));
  if (!isMeta) throw new HoldfastError('InvalidArgument', 'the meta of a call has a field of the wrong type');
  return {
    ...(idempotencyKey === undefined ? {} : { idempotencyKey: idempotencyKey as string }),
    ...(chain === undefined ? {} : { chain: chain as readonly ChainLink[] }),
    ...(traceparent === undefined ? {} : { traceparent: traceparent as string }),
    ...(attempt === undefined ? {} : { attempt: attempt as number }),
    ...(spawn === undefined ? {} : { spawn: spawn as NonNullable<CallMeta['spawn']> }),
  };
}

/** @throws InvalidArgument */
export function readUnary(bytes: Uint8Array): UnaryBody {
  const { method, request, timeoutMs } = decodeBody(bytes);
  if (typeof method !== 'string' || !(request instanceof Uint8Array) || !isCount(timeoutMs)) {
    throw new HoldfastError('InvalidArgument', 'the body of a Unary needs method, request and timeoutMs');
  }
  return { method, request, timeoutMs };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && Number.isSafeInteger(Math.ceil(value));
}

function isSpawn(value: unknown): boolean {
  const spawn = value as Partial<NonNullable<CallMeta['spawn']>> | null;
  return typeof spawn?.id === 'string' && typeof spawn.isRepeated === 'boolean';
}

function isChainLink(value: unknown): value is ChainLink {
  const link = value as Partial<ChainLink> | null;
  return typeof link?.callId === 'string' && typeof link.label === 'string';
}

/** Body of a `Credit`. */
export function creditBody(bytes: number): Buffer {
  const body = Buffer.allocUnsafe(4);
  body.writeUInt32LE(bytes);
  return body;
}
