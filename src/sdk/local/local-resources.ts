import { HoldfastError } from '../../common/errors.js';
import type { ClassOptions } from '../../common/manifest.js';
import type { SecretReference } from '../../common/secret.js';
import { currentPlace } from '../classes/container-state.js';
import { ownVariables } from '../default-client.js';

const instead =
  'call it on a cluster: `holdfast dev` runs one on this machine, `startCluster` of holdfast/testing one for a test';

/**
 * What a class or function names and only a container has is refused here, and not left out in silence.
 *
 * @throws VolumeUnavailable, InvalidArgument for an image, NotFound for a secret whose variables this program does not have
 */
export function checkLocalResources(what: string, { image, recipe, volumes = [], secrets }: ClassOptions): void {
  // In a container that is what its own class names; which of it this one would see is not known here.
  if (currentPlace() === 'container') return;
  const [mount] = volumes;
  if (mount !== undefined) {
    const message = `${what} has a volume at ${mount.path}, and local() runs in this process, which sees none; ${instead}`;
    throw new HoldfastError('VolumeUnavailable', message, { details: { path: mount.path } });
  }
  if (image !== undefined || recipe !== undefined) {
    const message = `${what} has an image, and local() runs in this process, on the files of this machine; ${instead}`;
    throw new HoldfastError('InvalidArgument', message, { details: { option: 'image' } });
  }
  localVariables(what, secrets);
}

/**
 * The variables of secrets, from this program's own environment: the required ones, or where a secret names none the one of its name.
 * Without a cluster no secret is opened.
 *
 * @throws NotFound naming the secret and the variable
 */
export function localVariables(what: string, secrets: readonly SecretReference[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { name, requiredKeys = [] } of secrets) {
    const wanted = requiredKeys.length === 0 ? [name] : requiredKeys;
    const own = ownVariables(wanted);
    const missing = wanted.find((variable) => own[variable] === undefined);
    if (missing !== undefined) throw noVariable(what, name, missing);
    Object.assign(found, own);
  }
  return found;
}

function noVariable(what: string, secret: string, variable: string): HoldfastError {
  return new HoldfastError(
    'NotFound',
    `${what} names secret '${secret}', and local() opens none: set ${variable} in the environment of this program (a secret of several variables names them by requiredKeys), or ${instead}`,
    { details: { secret, variable } },
  );
}
