import { HoldfastError } from '../errors.js';

export function isVolumeName(name: unknown): name is string {
  return typeof name === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name);
}

/** @throws InvalidArgument */
export function checkedVolumeName(name: unknown): string {
  if (isVolumeName(name)) return name;
  throw new HoldfastError(
    'InvalidArgument',
    'the name of a volume must be of letters, digits, ., _ and -, begin with a letter or digit, and have at most 128',
  );
}
