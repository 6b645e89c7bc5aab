import { HoldfastError } from '../common/errors.js';

/** A key is a path in some stores: only what cannot leave a folder is one. @throws InvalidArgument */
export function checkedKey(key: string): string {
  const segments = key.split('/');
  if (key.length <= 900 && segments.every((segment) => /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$/.test(segment)))
    return key;
  throw new HoldfastError(
    'InvalidArgument',
    `${JSON.stringify(key)} is not the key of an object: expected names of A-Z, a-z, 0-9, \`.\`, \`_\`, \`-\`, none of which starts with a dot, with a single \`/\` between them`,
  );
}
