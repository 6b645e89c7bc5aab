import { HoldfastError } from '../common/errors.js';
import { encodeArgs, hashArgs } from './codec/codec.js';

const maxBytes = 8_388_608;
/** First byte of encoded arguments (wire/codec): only a router makes references. */
const clientFlags: readonly (number | undefined)[] = [0, 1];

const noArgs = Uint8Array.from(encodeArgs([]));
const hashOfNoArgs = hashArgs(noArgs);

/** Of a new instance, as a client sent them. */
export interface ConstructorArguments {
  readonly args: Uint8Array;
  readonly argsHash: string;
}

/**
 * What a client sent, or none.
 *
 * @throws PayloadTooLarge; InvalidArgument for bytes that no client encodes, above all references to others' objects
 */
export function constructorArguments(given: Uint8Array | undefined): ConstructorArguments {
  if (given === undefined) return { args: noArgs, argsHash: hashOfNoArgs };
  if (given.length > maxBytes) {
    throw new HoldfastError(
      'PayloadTooLarge',
      `constructor arguments of ${given.length} bytes; at most ${maxBytes} are kept. Pass a reference to large data instead`,
      { details: { bytes: given.length, maxBytes } },
    );
  }
  if (clientFlags.includes(given[0])) return { args: given, argsHash: hashArgs(given) };
  throw new HoldfastError(
    'InvalidArgument',
    `constructor arguments begin with byte ${given[0] ?? 'none'}, expected 0 or 1`,
  );
}
