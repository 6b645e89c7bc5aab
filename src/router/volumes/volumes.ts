import { HoldfastError } from '../../common/errors.js';
import type { VolumeRecord, VolumeStore } from '../../common/ports/volume-store.js';
import { checkedMountPath } from '../../common/volume-mounts.js';
import { checkedVolumeName } from '../../common/volumes/volume-name.js';
import type {
  CreateVolumeReply,
  CreateVolumeRequest,
  DeleteVolumeReply,
  DeleteVolumeRequest,
  ExtendVolumeReply,
  ExtendVolumeRequest,
  FindVolumeReply,
  ListCommitsReply,
  ListCommitsRequest,
  ListVolumesReply,
} from '../../wire/gen/holdfast/v1/router.js';
import { commitView, volumeView } from '../../wire/volume-views.js';
import { patiently } from '../patience.js';
import type { RouterParts } from '../router-parts.js';
import type { Request } from '../service/request.js';
import { checkedId } from './checks.js';

type Parts = Pick<RouterParts, 'clock' | 'store'>;

const [shortestTtlMs, longestTtlMs] = [1_000, 3_600_000];
const largestPage = 1_000;
const largestSizeGb = 1_048_576;

/** Makes a volume, or tells who has the name. @throws InvalidArgument */
export async function createVolume(
  { clock, store }: Parts,
  ask: CreateVolumeRequest,
  request: Request,
): Promise<CreateVolumeReply> {
  const { backend, sizeGb = null, mountPathDefault = null, geolocation, ttlMs } = ask;
  if (backend !== 'cloud_bucket' && backend !== 'vast_local')
    throw new HoldfastError('InvalidArgument', `a volume has the backend cloud_bucket or vast_local, got '${backend}'`);
  if (backend === 'vast_local' && (sizeGb === null || ttlMs > 0))
    throw new HoldfastError('InvalidArgument', 'a volume with the backend vast_local has a sizeGb, and stays');
  if (mountPathDefault !== null) checkedMountPath(mountPathDefault);
  if (sizeGb !== null && !(sizeGb > 0 && sizeGb <= largestSizeGb))
    throw new HoldfastError('InvalidArgument', `sizeGb of a volume must be above 0 and at most ${largestSizeGb}`);
  const volume: VolumeRecord = {
    account: request.account,
    name: checkedVolumeName(ask.name),
    id: checkedId('volume', ask.id),
    ...{ backend, sizeGb, mountPathDefault, geolocation },
    isEphemeral: ttlMs > 0,
    createdAtMs: clock.now(),
  };
  const ttl = ttlMs === 0 ? null : checkedTtl(ttlMs);
  const made = await patiently(clock, request, () => store.volumes.create(volume, ttl));
  return { created: made.created, volume: volumeView(made.volume) };
}

/** Absent where there is none. @throws InvalidArgument */
export async function findVolume({ clock, store }: Parts, name: string, request: Request): Promise<FindVolumeReply> {
  checkedVolumeName(name);
  const found = await patiently(clock, request, () => store.volumes.find(request.account, name));
  if (found === null) return { volume: undefined, head: undefined };
  return { volume: volumeView(found.volume), head: found.head === null ? undefined : commitView(found.head) };
}

export async function listVolumes({ clock, store }: Parts, request: Request): Promise<ListVolumesReply> {
  const volumes = await patiently(clock, request, () => store.volumes.list(request.account));
  return { volumes: volumes.map(volumeView) };
}

/** With its history. What it held goes with the next sweep, unless somebody reads it. */
export async function deleteVolume(
  { clock, store }: Parts,
  ask: DeleteVolumeRequest,
  request: Request,
): Promise<DeleteVolumeReply> {
  const { account } = request;
  const name = checkedVolumeName(ask.name);
  const id = ask.id || (await patiently(clock, request, () => store.volumes.find(account, name)))?.volume.id;
  return { deleted: id !== undefined && (await store.volumes.delete(account, name, id)) };
}

export async function extendVolume(
  { clock, store }: Parts,
  { name, id, ttlMs }: ExtendVolumeRequest,
  request: Request,
): Promise<ExtendVolumeReply> {
  const volume = { account: request.account, name: checkedVolumeName(name), id: checkedId('volume', id) };
  const ttl = checkedTtl(ttlMs);
  return { extended: await patiently(clock, request, () => store.volumes.extend(volume, ttl)) };
}

/** A page of a history, newest first, or the one commit that is asked for. */
export async function listCommits(
  { clock, store }: Parts,
  ask: ListCommitsRequest,
  request: Request,
): Promise<ListCommitsReply> {
  const { account } = request;
  const volumeId = checkedId('volume', ask.volumeId);
  const read = async (volumes: VolumeStore) => {
    if (ask.commitId !== '') {
      const commit = await volumes.commit(account, volumeId, checkedId('commit', ask.commitId));
      return commit === null ? [] : [commit];
    }
    const limit = Math.min(Math.max(1, ask.limit), largestPage);
    return await volumes.commits(account, volumeId, { limit, after: ask.after || null });
  };
  const commits = await patiently(clock, request, () => read(store.volumes));
  return { commits: commits.map(commitView) };
}

export function checkedTtl(ttlMs: number): number {
  if (ttlMs >= shortestTtlMs && ttlMs <= longestTtlMs) return ttlMs;
  throw new HoldfastError(
    'InvalidArgument',
    `the life of an ephemeral volume must be from ${shortestTtlMs} to ${longestTtlMs} ms`,
  );
}
