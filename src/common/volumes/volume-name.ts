import { HoldfastError } from '../errors.js';

/** @throws InvalidArgument */
export function checkedVolumeName(name: unknown): string {
  if (typeof name === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) return name;
  throw new HoldfastError(
    'InvalidArgument',
    'the name of a volume must be of letters, digits, ., _ and -, begin with a letter or digit, and have at most 128',
  );
}
