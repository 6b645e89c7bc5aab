import { HoldfastError } from '../../common/errors.js';
import type { ClassOptions } from '../../common/manifest.js';
import type { SecretReference } from '../../common/secret.js';
import { currentPlace } from '../classes/container-state.js';
import { ownVariables } from '../default-client.js';

const instead =
  'call it on a cluster: `holdfast dev` runs one on this machine, `startCluster` of holdfast/testing one for a test';

/**
 * A local run is in this process, on the files of this machine, so an image does not count. A volume is refused: what is written to
 * its path would be this machine's own file. Of secrets the required keys must be here; without any, nothing is known to be missing.
 *
 * @throws VolumeUnavailable, NotFound for a required key that this program does not have
 */
export function checkLocalResources(what: string, { volumes = [], secrets }: ClassOptions): void {
  // In a container that is what its own class names; which of it this one would see is not known here.
  if (currentPlace() === 'container') return;
  const [mount] = volumes;
  if (mount !== undefined) {
    const message = `${what} has a volume at ${mount.path}, and local() runs in this process, which sees none; ${instead}`;
    throw new HoldfastError('VolumeUnavailable', message, { details: { path: mount.path } });
  }
  localVariables(
    what,
    secrets.filter(({ requiredKeys = [] }) => requiredKeys.length > 0),
  );
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
