import { HoldfastError } from '../../common/errors.js';
import { type Check, expected } from '../../common/option-checks.js';
import type { VolumeRecord } from '../../common/ports/volume-store.js';
import {
  checkedMountPath,
  type MissingVolume,
  mountPathProblem,
  type VolumeBackend,
} from '../../common/volume-mounts.js';
import { checkChoice, choiceChecks } from '../client-choice.js';
import type { ClientChoice } from '../infos.js';
import type { VolumeCreateOptions } from './volume-infos.js';

/** How a volume is made, checked; what was not given is absent. */
export interface VolumeDeclaration {
  readonly backend: VolumeBackend;
  readonly sizeGb?: number;
  readonly mountPathDefault?: string;
  readonly geolocation?: readonly string[];
}

const checks = {
  ...choiceChecks,
  backend: expected.oneOf('cloud_bucket', 'vast_local'),
  sizeGb: expected.above(0),
  mountPathDefault: mountPathProblem,
  geolocation: expected.oneOrMoreStrings,
} as const satisfies Readonly<Record<keyof VolumeCreateOptions, Check>>;

/** @throws InvalidArgument */
export function checkedDeclaration(name: string, options: VolumeCreateOptions): VolumeDeclaration {
  checkChoice(`volume ${name}`, options, checks);
  const { backend = 'cloud_bucket', sizeGb, mountPathDefault, geolocation } = options;
  if (backend === 'vast_local' && sizeGb === undefined)
    throw invalid(name, 'a sizeGb, as it takes that much of the disk of one host');
  return {
    backend,
    ...(sizeGb === undefined ? {} : { sizeGb }),
    ...(mountPathDefault === undefined ? {} : { mountPathDefault: checkedMountPath(mountPathDefault) }),
    ...(geolocation === undefined ? {} : { geolocation: [geolocation].flat() }),
  };
}

/** How one that is there was made. */
export function declarationOf({ backend, sizeGb, mountPathDefault, geolocation }: VolumeRecord): VolumeDeclaration {
  return {
    backend,
    ...(sizeGb !== null && { sizeGb }),
    ...(mountPathDefault !== null && { mountPathDefault }),
    ...(geolocation.length > 0 && { geolocation }),
  };
}

/** What a manifest says of one that is made where it is missing; defaults are left out. */
export function whenMissing({ backend, ...rest }: VolumeDeclaration): MissingVolume {
  return backend === 'cloud_bucket' ? rest : { backend, ...rest };
}

/** Those of the options that say which client it is. */
export function choiceOf({ client, baseUrl }: ClientChoice): ClientChoice {
  return { ...(client && { client }), ...(baseUrl !== undefined && { baseUrl }) };
}

function invalid(name: string, wanted: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `volume ${name} must have ${wanted}`);
}
