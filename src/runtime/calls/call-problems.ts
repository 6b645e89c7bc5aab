import { HoldfastError } from '../../common/errors.js';
import type { MethodManifest } from '../../common/manifest.js';
import type { IncomingCall } from '../../wire/frames/frame-reader.js';
import { CallFlag, defaultMaxPayloadBytes } from '../../wire/frames/frames.js';
import type { Instance } from '../instances/instance.js';
import { unknownMethod } from '../instances/instance-errors.js';

/** The class has no such method (C9). */
export function unknownMethodOf(instance: Instance, method: string): HoldfastError {
  return unknownMethod(instance.identity, method, [...instance.klass.methods.keys()]);
}

/** Why a call does not fit its method; null: it does. */
export function problemOf(
  { flags, payloadLength }: IncomingCall,
  { name, generator }: MethodManifest,
): HoldfastError | null {
  if (generator !== ((flags & CallFlag.generator) !== 0)) return wrongKind(name, generator);
  return payloadLength > defaultMaxPayloadBytes ? tooLarge(payloadLength) : null;
}

function wrongKind(method: string, generator: boolean): HoldfastError {
  const [is, how] = generator ? ['a generator', 'iterate over it'] : ['not a generator', 'await it'];
  return new HoldfastError('InvalidArgument', `method '${method}' is ${is}: ${how}`, {
    details: { method, generator },
  });
}

function tooLarge(bytes: number): HoldfastError {
  return new HoldfastError(
    'PayloadTooLarge',
    `the arguments take ${bytes} bytes, a call may carry ${defaultMaxPayloadBytes}; send them in parts`,
    { details: { bytes, maxBytes: defaultMaxPayloadBytes } },
  );
}
