import { HoldfastError } from './errors.js';
import type { BucketLocation } from './ports/bucket.js';
import type { VolumeRecord } from './ports/volume-store.js';
import { isSecretName } from './secret.js';
import { isVolumeName } from './volumes/volume-name.js';

/** How a volume is used at a path. */
export interface MountOptions {
  readonly readOnly?: boolean;
  /** `shared` (default): commits are seen after a reload. `private`: a copy of its own, dropped with the container. */
  readonly mode?: 'shared' | 'private';
  /** Commit at close, and within 10 s of a change. Default: true for `shared`. */
  readonly autoCommit?: boolean;
}

export type VolumeBackend = 'cloud_bucket' | 'vast_local';

/** How a volume is made where it is missing. */
export interface MissingVolume {
  readonly sizeGb?: number | undefined;
  /** Default `cloud_bucket`. */
  readonly backend?: VolumeBackend | undefined;
  readonly mountPathDefault?: string | undefined;
  readonly geolocation?: readonly string[] | undefined;
}

/** The record of a volume that is made because it is missing. */
export function volumeToMake(
  named: Pick<VolumeRecord, 'account' | 'name' | 'id'>,
  { sizeGb, backend = 'cloud_bucket', mountPathDefault, geolocation = [] }: MissingVolume = {},
  createdAtMs: number,
): VolumeRecord {
  return {
    ...named,
    ...{ backend, sizeGb: sizeGb ?? null, mountPathDefault: mountPathDefault ?? null },
    ...{ geolocation, isEphemeral: false, createdAtMs },
  };
}

/** A volume at a path, as a manifest has it. */
export interface VolumeMountReference {
  readonly path: string;
  readonly volume: string;
  /** Of one that is made where it is missing, else absent. */
  readonly whenMissing?: MissingVolume | undefined;
  readonly readOnly: boolean;
  readonly mode: 'shared' | 'private';
  readonly autoCommit: boolean;
}

/** A bucket of the user's, and the secrets that have its keys. */
export interface BucketReference extends BucketLocation {
  readonly accessKeySecret: string;
  readonly secretKeySecret: string;
}

export interface BucketMountReference {
  readonly path: string;
  readonly bucket: BucketReference;
  readonly readOnly: boolean;
}

export interface LiveMountReference {
  readonly path: string;
  readonly networkFileSystem: string;
  readonly createIfMissing: boolean;
  readonly readOnly: boolean;
}

/** What is seen at a path, as a manifest has it. */
export type MountReference = VolumeMountReference | BucketMountReference | LiveMountReference;
/** The same of a single session. */
export type SessionMountReference = Exclude<MountReference, BucketMountReference>;

/** How a class knows what its user gives it to mount, whichever copy of the package made that. */
export const mountable = Symbol.for('holdfast.mountable');

/** What a volume or bucket says of itself for `volumes`. */
export interface Mountable {
  readonly mountPath: string | null;
  [mountable](): MountSource;
}

/** What is mounted, wherever. */
export type MountSource = MountReference extends infer R ? (R extends MountReference ? Omit<R, 'path'> : never) : never;

/** By path, or each with a path of its own. */
export type VolumesOption = Readonly<Record<string, Mountable>> | readonly Mountable[];

export const maxMounts = 64;
const longestPath = 1_024;
/** A key has 1024 bytes. */
const longestPrefix = 512;
/** Where the runtime has its own. */
const takenFolders = ['/proc', '/dev', '/sys', '/run/holdfast', '/usr', '/bin', '/sbin', '/lib', '/lib64'];

/** Null, or what a mount's path must be. */
export function mountPathProblem(path: unknown): string | null {
  const isPath =
    typeof path === 'string' &&
    /^(\/[^/\0]+)+$/.test(path) &&
    path.length <= longestPath &&
    !path.split('/').some((name) => name === '.' || name === '..');
  if (!isPath) return "an absolute path other than /, without '.', '..' and a / at its end";
  const taken = takenFolders.find((folder) => path === folder || path.startsWith(`${folder}/`));
  return taken === undefined ? null : `a path outside ${taken}`;
}

/** @throws InvalidArgument */
export function checkedMountPath(path: string): string {
  const problem = mountPathProblem(path);
  if (problem === null) return path;
  throw new HoldfastError('InvalidArgument', `a volume must be mounted at ${problem}, got ${JSON.stringify(path)}`);
}

/** What `volumes` must be, or null where it is that. */
export function volumesProblem(value: unknown): string | null {
  const wanted = `volumes by path, or a list of volumes with paths of their own, at most ${maxMounts}`;
  if (typeof value !== 'object' || value === null) return wanted;
  const mounts = Array.isArray(value) ? value.map((one) => [one?.mountPath, one]) : Object.entries(value);
  if (mounts.length > maxMounts || !mounts.every(([, one]) => isMountable(one))) return wanted;
  for (const [path] of mounts) {
    const problem = mountPathProblem(path);
    if (problem !== null) return `volumes, each at ${problem}; ${JSON.stringify(path)} is none`;
  }
  return pathsProblem(mounts.map(([path]) => path as string));
}

/** What the paths of one container's volumes must be together, or null where they are that. */
function pathsProblem(paths: readonly string[]): string | null {
  if (paths.length > maxMounts) return `at most ${maxMounts} volumes`;
  const within = paths.find((path) => paths.some((other) => other !== path && path.startsWith(`${other}/`)));
  if (within !== undefined) return `volumes of which none is within another, as ${within} is`;
  return new Set(paths).size === paths.length ? null : 'volumes at different paths';
}

/** What a manifest says of them; they were checked. */
export function mountReferences(volumes: VolumesOption): MountReference[] {
  const mounts: [string, Mountable][] = Array.isArray(volumes)
    ? volumes.map((one: Mountable) => [one.mountPath as string, one])
    : Object.entries(volumes as Readonly<Record<string, Mountable>>);
  return mounts.map(([path, volume]) => ({ path, ...volume[mountable]() }));
}

/** A session's own beside those of its sandbox; at the same path its own. @throws InvalidArgument where one is within another */
export function mountsTogether(
  ofSandbox: readonly MountReference[] = [],
  ofSession: readonly MountReference[] = [],
): readonly MountReference[] {
  const paths = new Set(ofSession.map(({ path }) => path));
  const mounts = [...ofSandbox.filter(({ path }) => !paths.has(path)), ...ofSession];
  const problem = pathsProblem(mounts.map(({ path }) => path));
  if (problem === null) return mounts;
  throw new HoldfastError('InvalidArgument', `a session and its sandbox must have ${problem}`);
}

/** Of a single session: whoever may only call must not choose the endpoint to which a secret is sent. @throws InvalidArgument */
export function sessionMounts(where: string, volumes: VolumesOption): SessionMountReference[] {
  const references = mountReferences(volumes);
  const bucket = references.find((reference) => 'bucket' in reference);
  if (bucket === undefined) return references.flatMap((reference) => ('bucket' in reference ? [] : [reference]));
  throw new HoldfastError(
    'InvalidArgument',
    `${where}: a bucket, as that at ${bucket.path}, is named by app.sandbox({ volumes }), not by a single session`,
  );
}

/** What a client sent. @throws InvalidArgument */
export function checkedMountReferences(where: string, value: unknown): readonly SessionMountReference[] {
  const mounts: readonly unknown[] = Array.isArray(value) ? value : [null];
  for (const mount of mounts) if (!isReference(mount)) throw malformed(where);
  const references = mounts as readonly SessionMountReference[];
  const problem = pathsProblem(references.map(({ path }) => path));
  if (problem === null) return references;
  throw new HoldfastError('InvalidArgument', `${where} must have ${problem}`);
}

function isReference(value: unknown): value is SessionMountReference {
  if (typeof value !== 'object' || value === null) return false;
  if ('networkFileSystem' in value) return isLiveReference(value as Partial<LiveMountReference>);
  const { path, volume, whenMissing, readOnly, mode, autoCommit } = value as Partial<VolumeMountReference>;
  const isRight = [readOnly, autoCommit].every((flag) => typeof flag === 'boolean');
  if (!isRight || mountPathProblem(path) !== null || !isVolumeName(volume)) return false;
  return (mode === 'shared' || mode === 'private') && (whenMissing === undefined || isMissing(whenMissing));
}

function isLiveReference(value: Partial<LiveMountReference>): boolean {
  const { path, networkFileSystem, createIfMissing, readOnly } = value;
  const isRight = [createIfMissing, readOnly].every((flag) => typeof flag === 'boolean');
  return isRight && mountPathProblem(path) === null && isVolumeName(networkFileSystem);
}

function isMissing(value: unknown): value is MissingVolume {
  if (typeof value !== 'object' || value === null) return false;
  const { sizeGb, backend, mountPathDefault, geolocation } = value as MissingVolume;
  if (sizeGb !== undefined && !(typeof sizeGb === 'number' && sizeGb > 0)) return false;
  if (backend !== undefined && backend !== 'cloud_bucket' && backend !== 'vast_local') return false;
  if (mountPathDefault !== undefined && mountPathProblem(mountPathDefault) !== null) return false;
  return geolocation === undefined || (Array.isArray(geolocation) && geolocation.every((g) => typeof g === 'string'));
}

function malformed(where: string): HoldfastError {
  return new HoldfastError(
    'InvalidArgument',
    `${where} has volumes that this version does not know: use a client of the cluster's version`,
  );
}

/** @throws InvalidArgument */
export function checkedMountOptions(options: MountOptions): Required<MountOptions> {
  const { readOnly = false, mode = 'shared', autoCommit = mode === 'shared' } = options;
  const isRight =
    typeof readOnly === 'boolean' && (mode === 'shared' || mode === 'private') && typeof autoCommit === 'boolean';
  const unknown = Object.keys(options).find((name) => !['readOnly', 'mode', 'autoCommit'].includes(name));
  if (isRight && unknown === undefined && !(mode === 'private' && autoCommit)) return { readOnly, mode, autoCommit };
  throw new HoldfastError(
    'InvalidArgument',
    "a mount has the options readOnly, mode ('shared' or 'private') and autoCommit, which a private one cannot have",
  );
}

function isMountable(value: unknown): value is Mountable {
  if (typeof value !== 'object' || value === null || !(mountable in value)) return false;
  const source = (value as Mountable)[mountable]();
  if ('bucket' in source) return bucketProblem(source.bucket) === null;
  return isVolumeName('volume' in source ? source.volume : source.networkFileSystem);
}

/** Null, or what is wrong with it. */
export function bucketProblem(bucket: BucketReference): string | null {
  const { bucketName, endpointUrl, region, prefix, accessKeySecret, secretKeySecret, forcePathStyle } = bucket;
  if (typeof bucketName !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/.test(bucketName))
    return 'bucketName must be the name of a bucket';
  if (typeof endpointUrl !== 'string' || !/^https?:\/\/[^/?#@\s]+\/?$/.test(endpointUrl))
    return 'endpointUrl must be http(s)://host[:port], without user, path and query';
  if (typeof region !== 'string' || !/^[A-Za-z0-9-]{1,64}$/.test(region)) return 'region must be the name of a region';
  if (
    typeof prefix !== 'string' ||
    prefix.length > longestPrefix ||
    !(prefix === '' || prefix.split('/').every(isKeyPart))
  )
    return 'prefix must be names with / between them';
  if (!isSecretName(accessKeySecret)) return 'accessKeySecret must be a secret or its name';
  if (!isSecretName(secretKeySecret)) return 'secretKeySecret must be a secret or its name';
  return typeof forcePathStyle === 'boolean' ? null : 'forcePathStyle must be true or false';
}

function isKeyPart(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.includes('\0');
}

/** The secrets that mounts need, which no program inside sees. */
export function mountSecrets(mounts: readonly MountReference[]): string[] {
  const names = mounts.flatMap((mount) =>
    'bucket' in mount ? [mount.bucket.accessKeySecret, mount.bucket.secretKeySecret] : [],
  );
  return [...new Set(names)];
}
