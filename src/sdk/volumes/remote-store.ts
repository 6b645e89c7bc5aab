import { HoldfastError } from '../../common/errors.js';
import type { CommitRecord, VolumeRecord, VolumeStore } from '../../common/ports/volume-store.js';
import type { CommitHolds } from '../../common/volumes/hold.js';
import {
  FindVolumeReply,
  FindVolumeRequest,
  HoldReply,
  HoldRequest,
  ListCommitsReply,
  ListCommitsRequest,
  PublishCommitReply,
  PublishCommitRequest,
  ReserveObjectsReply,
  ReserveObjectsRequest,
} from '../../wire/gen/holdfast/v1/router.js';
import { commitOf, commitView, volumeOf } from '../../wire/volume-views.js';
import type { Limits } from '../calls/call-limits.js';
import type { ClientCore } from '../sessions/client-core.js';

/** Volumes, heads and histories of the token's account, by the router; any other account that is named is not looked at. */
export function remoteVolumes(
  core: ClientCore,
  limits?: Limits,
): Pick<VolumeStore, 'find' | 'publish' | 'commit' | 'commits'> {
  const listed = async (request: ListCommitsRequest): Promise<CommitRecord[]> => {
    const question = { request, of: ListCommitsRequest, reply: ListCommitsReply };
    const { commits } = await core.ask('ListCommits', question, limits);
    return commits.map(commitOf);
  };
  return {
    find: async (_account, name) => {
      const question = { request: { name }, of: FindVolumeRequest, reply: FindVolumeReply };
      const { volume, head } = await core.ask('FindVolume', question, limits);
      if (volume === undefined) return null;
      return { volume: volumeOf(volume), head: head === undefined ? null : commitOf(head) };
    },
    commit: async (_account, volumeId, commitId) =>
      (await listed({ volumeId, commitId, limit: 1, after: '' }))[0] ?? null,
    commits: (_account, volumeId, { limit, after }) => listed({ volumeId, limit, after: after ?? '', commitId: '' }),
    publish: async ({ name, id }, commit, { holdId, expected }) => {
      const request = {
        ...{ volumeName: name, volumeId: id, holdId },
        ...{ commit: commitView(commit), expected: expected ?? undefined },
      };
      const question = { request, of: PublishCommitRequest, reply: PublishCommitReply };
      const { outcome, head } = await core.ask('PublishCommit', question, limits);
      switch (outcome) {
        case 'moved':
          return { outcome, head: head === undefined ? null : commitOf(head) };
        case 'published':
        case 'lapsed':
        case 'gone':
          return { outcome };
        default:
          throw new HoldfastError('Internal', `the router answered commit ${commit.id} with '${outcome}'`);
      }
    },
  };
}

/** @param limits of taking one; what is held is kept and let go of whatever becomes of them */
export function remoteHolds(core: ClientCore, limits?: Limits): CommitHolds {
  const ask = async (id: string, op: NonNullable<HoldRequest['op']>, own?: Limits): Promise<boolean> => {
    const { held } = await core.ask('Hold', { request: { id, op }, of: HoldRequest, reply: HoldReply }, own);
    return held;
  };
  return {
    hold: (_account, { id, ttlMs, commit }) =>
      ask(id, { $case: 'take', value: { ttlMs, commit: commit ?? undefined } }, limits),
    holdAlso: (_account, id, commit) => ask(id, { $case: 'also', value: commit }, limits),
    renew: (_account, id, ttlMs) => ask(id, { $case: 'renewForMs', value: ttlMs }),
    release: async (_account, id) => {
      await ask(id, { $case: 'release', value: true });
    },
    reserve: async (_account, holdId, hashes) => {
      const request = { holdId, hashes: [...hashes] };
      const question = { request, of: ReserveObjectsRequest, reply: ReserveObjectsReply };
      const { lapsed, condemned } = await core.ask('ReserveObjects', question, limits);
      return lapsed ? null : condemned;
    },
  };
}

/** The volume and its newest commit. @throws NotFound */
export async function foundVolume(
  volumes: Pick<VolumeStore, 'find'>,
  name: string,
): Promise<{ readonly volume: VolumeRecord; readonly head: CommitRecord | null }> {
  const found = await volumes.find('', name);
  if (found !== null) return found;
  throw new HoldfastError('NotFound', `there is no volume ${name}: \`holdfast volume create\` makes one`, {
    details: { name },
  });
}
