import type { CommitRecord, VolumeRecord } from '../../common/ports/volume-store.js';
import { rootOf } from '../../common/volumes/commit.js';
import { diffTrees } from '../../common/volumes/diff.js';
import { type FoundVolume, VolumeAccess } from './volume-access.js';
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
async function takeOver(
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

/** Makes the state of an older commit the newest one; the id of that commit. @throws NotFound */
export async function restoreCommit(access: VolumeAccess, name: string, commitId: string): Promise<string> {
  const from = await access.found(name);
  const commit = await access.commitOf(from, commitId);
  return await takeOver(access, { from, commit, to: name, message: `restore ${commitId}` });
}

/** Makes a volume of the state of another one. @param at undefined: the newest @throws AlreadyExists, NotFound */
export async function branchOff(
  access: VolumeAccess,
  name: string,
  { to, at }: { readonly to: string; readonly at: string | undefined },
): Promise<VolumeRecord> {
  const from = await access.found(name);
  const commit = at === undefined ? from.head : await access.commitOf(from, at);
  const { sizeGb } = from.volume;
  const made = await access.createNew(to, { ...(sizeGb !== null && { sizeGb }) });
  if (commit === null) return made;
  try {
    await takeOver(access, { from, commit, to, message: `branch of ${name} at ${commit.id}` });
    return made;
  } catch (error) {
    // Without its files it is nobody's branch. What fails here, too, is left to be deleted by hand.
    await VolumeAccess.of(access.core)
      .delete(made)
      .catch(() => undefined);
    throw error;
  }
}
