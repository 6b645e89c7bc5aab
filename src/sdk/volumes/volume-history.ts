import type { CommitRecord } from '../../common/ports/volume-store.js';
import { rootOf } from '../../common/volumes/commit.js';
import { diffTrees } from '../../common/volumes/diff.js';
import type { FoundVolume, VolumeAccess } from './volume-access.js';
import type { VolumeChange, VolumeCommit } from './volume-infos.js';

const defaultHistory = 100;

/** Newest first. @throws NotFound */
export async function historyOf(access: VolumeAccess, name: string, limit = defaultHistory): Promise<VolumeCommit[]> {
  const commits: VolumeCommit[] = [];
  if (limit < 1) return commits;
  for await (const { id, atMs, message, root } of access.history(await access.found(name))) {
    commits.push({ commitId: id, at: new Date(atMs), message, files: root.files, bytes: root.bytes });
    if (commits.length >= limit) break;
  }
  return commits;
}

/** By path. @param to null: the newest @throws NotFound */
export async function differences(
  access: VolumeAccess,
  name: string,
  { from, to }: { readonly from: string; readonly to: string | null },
): Promise<VolumeChange[]> {
  const found = await access.found(name);
  const after = to === null ? found.head : await access.commitOf(found, to);
  await using old = await access.hold(found, await access.commitOf(found, from));
  await using state = await access.hold(found, after);
  const changes: VolumeChange[] = [];
  for await (const change of diffTrees(access.reader, old.root, state.root)) changes.push(change);
  return changes.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Makes a state of one volume the newest one of another, or of the same; the id of that commit. */
export async function takeOver(
  access: VolumeAccess,
  { from, commit, to, message }: { from: FoundVolume; commit: CommitRecord; to: string; message: string },
): Promise<string> {
  const made = await access.commit(to, {
    message,
    source: { volumeId: from.volume.id, commitId: commit.id },
    build: async () => rootOf(commit, commit.atMs),
  });
  return made.commit.id;
}
