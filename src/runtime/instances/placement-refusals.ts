import { HoldfastError } from '../../common/errors.js';
import { describeIdentity, type Identity } from '../../common/ids.js';
import type { Isolation } from '../../common/manifest.js';
import type { LoadedClass } from '../hosting/loaded-class.js';

/** This host isolates less than the class, or its files, need. */
export function notIsolated(
  identity: Identity,
  { options }: LoadedClass,
  { asked, given }: { readonly asked: Isolation; readonly given: Isolation },
): HoldfastError {
  const isForFiles = asked !== options.isolation;
  const what = options.image === undefined ? 'volumes' : 'an image';
  const why = isForFiles
    ? `has ${what}, seen behind walls only: it needs isolation '${asked}', which this host cannot give (\`holdfast doctor\` says why); start a worker on one that can, or take ${what} away`
    : `asks for isolation '${asked}', this worker gives '${given}'; start a worker that gives more, or ask for less`;
  return new HoldfastError('SandboxUnavailable', `${describeIdentity(identity)} ${why}`, {
    details: { asked, given },
  });
}

/** Another worker may take it. */
export function refused(identity: Identity, why: string): HoldfastError {
  return new HoldfastError('NoCapacity', `${describeIdentity(identity)} cannot be placed here: ${why}`);
}
