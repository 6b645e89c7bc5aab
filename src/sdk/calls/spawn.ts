import { hash } from 'node:crypto';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { InstanceKey } from '../../common/ids.js';
import { callId } from '../../common/spawned-call.js';
import { encodeArgs } from '../../wire/codec/codec.js';
import { FunctionCall } from './function-call.js';
import { remoteSpawned } from './remote-spawned.js';
import { type Callee, makeCall } from './start-call.js';

/** Asked again under the same id, it is spawned once (R1): so whoever asks may always ask again. */
const onceAsked = {
  idempotent: true,
  budget: null,
  retries: { maxRetries: 0, initialDelayMs: 0, backoffCoefficient: 1, maxDelayMs: 0 },
};

/** Spawns a call. The arguments are taken as they are now. @throws (rejects) every code of a call that is not admitted */
export async function startSpawn(callee: Callee, args: readonly unknown[]): Promise<FunctionCall> {
  // Kept for a second try, and the codec writes on behind them.
  const payload = Uint8Array.from(encodeArgs(args));
  const { target, options } = callee;
  const { host, placement } = target;
  const key = options?.idempotencyKey;
  const drawn = key === undefined ? Buffer.from(host.random.bytes(18)).toString('base64url') : derived(callee, key);
  const id = callId(placement.key as InstanceKey, drawn);
  const spawn = { id, isRepeated: key !== undefined };
  await new Promise<unknown>((resolve, reject) => {
    const call = makeCall({ ...callee, plan: { ...callee.plan, ...onceAsked }, spawn }, payload, null);
    call.resolve = resolve;
    call.reject = (error) => reject(call.isInDoubt ? inDoubt(error) : error);
    call.start();
  });
  return new FunctionCall(remoteSpawned(host, id));
}

/** The last answer says that it was not spawned; what became of the first one nobody knows. */
function inDoubt(error: unknown): unknown {
  if (!isHoldfastError(error) || error.outcome !== 'not-run') return error;
  const { code, message, retryable, details, cause } = error;
  return new HoldfastError(code, message, { outcome: 'unknown', retryable, details, cause });
}

/** The same key of the same method and generation is the same call. */
function derived({ target, plan }: Callee, key: string): string {
  const { generation } = target.placement.handle;
  return hash('sha256', JSON.stringify([generation, plan.name, key]), 'buffer').toString('base64url', 0, 16);
}
