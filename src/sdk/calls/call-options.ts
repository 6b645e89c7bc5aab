import { checkOptions } from '../../common/check-options.js';
import { HoldfastError } from '../../common/errors.js';
import { type Check, expected } from '../../common/option-checks.js';
import type { CallOptions } from '../classes/class-types.js';
import { limitChecks } from './call-limits.js';

const longestKey = 256;

const checks: Readonly<Record<keyof CallOptions, Check>> = {
  ...limitChecks,
  idempotencyKey: (value) =>
    typeof value === 'string' && value.length > 0 && value.length <= longestKey
      ? null
      : `a string of 1 to ${longestKey} characters`,
};

/** What a stub was given with `with`, over what it had before. @throws InvalidArgument */
export function mergeCallOptions(what: string, before: CallOptions | null, options: CallOptions): CallOptions {
  checkOptions(`a call of ${what}`, options, checks);
  return { ...before, ...options };
}

/** @throws InvalidArgument */
export function checkGetOptions(options: object): void {
  checkOptions('get', options, limitChecks);
}

const closeChecks = { force: expected.boolean, ...limitChecks } as const;

/** @throws InvalidArgument */
export function checkCloseOptions(options: object): void {
  checkOptions('close', options, closeChecks);
}

const longestIdBytes = 512;

/** @throws InvalidArgument where it is no id that an instance can have */
export function checkInstanceId(instanceId: unknown): asserts instanceId is string {
  const wanted = `a string of 1 to ${longestIdBytes} bytes without control characters`;
  if (typeof instanceId !== 'string') throw invalidId(wanted, typeof instanceId);
  const bytes = Buffer.byteLength(instanceId, 'utf8');
  if (bytes === 0 || bytes > longestIdBytes) throw invalidId(wanted, `${bytes} bytes`);
  if (/\p{Cc}/u.test(instanceId) || Buffer.from(instanceId, 'utf8').toString('utf8') !== instanceId)
    throw invalidId(wanted, JSON.stringify(instanceId));
}

function invalidId(wanted: string, got: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `an instance id must be ${wanted}, got ${got}`);
}
