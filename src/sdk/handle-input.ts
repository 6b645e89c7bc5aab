import { HoldfastError } from '../common/errors.js';
import type { ResourceKind } from '../common/manifest.js';
import type { ClassInstanceHandle, HandleInput } from './infos.js';

const textFields = ['kind', 'account', 'app', 'name', 'id', 'signature'] as const;
/** Of handles that only their own process knows. */
export const localAccount = 'local';

/**
 * A handle as plain data; whether it is genuine is for the router to say.
 *
 * @throws InvalidArgument for what is no handle, one of another kind, or one of a local instance
 */
export function readHandle(input: HandleInput, kind: ResourceKind = 'class'): ClassInstanceHandle {
  const value: unknown = typeof input === 'string' ? parse(input) : input;
  if (typeof value !== 'object' || value === null) throw invalid(`it is ${value === null ? 'null' : typeof value}`);
  const fields = value as Record<string, unknown>;
  if (fields['v'] !== 1) throw invalid(`its version is ${String(fields['v'])}, this is version 1`);
  for (const name of textFields)
    if (typeof fields[name] !== 'string') throw invalid(`its field '${name}' is no string`);
  if (!Number.isSafeInteger(fields['generation'])) throw invalid("its field 'generation' is no whole number");
  if (fields['kind'] !== kind) throw invalid(`it is of a ${String(fields['kind'])}, not of a ${kind}`);
  if (fields['account'] === localAccount) {
    throw invalid('it is of a local instance, which lives in the process that made it and cannot be attached');
  }
  const { account, app, name, id, generation, signature } = value as ClassInstanceHandle;
  return { v: 1, kind, account, app, name, id, generation, signature };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HoldfastError('InvalidArgument', 'a handle must be an object or its JSON; this text is no JSON', {
      cause,
    });
  }
}

function invalid(why: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `this is no handle that can be used here: ${why}`);
}
