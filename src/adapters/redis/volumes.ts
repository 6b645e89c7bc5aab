import type { CommitRecord, PublishResult, VolumeRecord, VolumeStore } from '../../common/ports/volume-store.js';
import { decodeCommit, decodeVolume, encodeVolume, sortedVolumes } from '../records/volume-record.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';

type Named = Pick<VolumeRecord, 'account' | 'name' | 'id'>;

const expiredAtOnce = 100;
const forgottenAtOnce = 1_000;

/** Volumes of accounts, their heads and histories. */
export function createVolumes(redis: RedisConnection): VolumeStore {
  const expire = (account: string) => expireVolumes(redis, account);
  return {
    create: async (volume, ttlMs) => {
      const what = `making volume ${volume.name}`;
      for (;;) {
        const args = [volume.name, encodeVolume(volume), ttlMs ?? ''];
        const reply = await redis.script('volumeCreate', what, { keys: namesOf(volume.account), args });
        const [verdict, record] = reply as [string, string];
        if (verdict !== 'lapsed') return { created: verdict === 'made', volume: decodeVolume(record) };
        await expire(volume.account);
      }
    },
    find: async (account, name) => {
      const keys = [...namesOf(account), redisKeys.volumeHeads(account)];
      const reply = await redis.script('volumeFind', `reading volume ${name}`, { keys, args: [name] });
      if (reply === null) return null;
      const [record, head] = reply as [string, (string | null)?];
      return { volume: decodeVolume(record), head: head == null ? null : decodeCommit(head) };
    },
    list: async (account) => {
      const records = await redis.run('listing volumes', (client) => client.hvals(redisKeys.volumes(account)));
      return sortedVolumes(records.map(decodeVolume));
    },
    delete: (account, name, id) => deleteVolume(redis, { account, name, id }, ''),
    bind: async ({ account, name, id }, to) => {
      const keys = [redisKeys.volumes(account), redisKeys.volumeHosts(account)];
      const host = await redis.script('volumeBind', `binding volume ${name}`, { keys, args: [name, id, to ?? ''] });
      return host as string | null;
    },
    extend: async ({ account, name, id }, ttlMs) => {
      const args = [name, id, ttlMs];
      return (await redis.script('volumeExtend', `renewing volume ${name}`, { keys: namesOf(account), args })) === 1;
    },
    expire,
    ...commitsOf(redis),
  };
}

function commitsOf(redis: RedisConnection): Pick<VolumeStore, 'commit' | 'commits' | 'forgetBefore' | 'publish'> {
  return {
    commit: async (account, volumeId, commitId) => {
      const key = redisKeys.commits(account, volumeId);
      const record = await redis.run(`reading commit ${commitId}`, (client) => client.hget(key, commitId));
      return record === null ? null : decodeCommit(record);
    },
    commits: (account, volumeId, page) => readHistory(redis, { account, volumeId }, page),
    forgetBefore: async (account, volumeId, commitId) => {
      const keys = [redisKeys.commits(account, volumeId), redisKeys.history(account, volumeId)];
      const args = [commitId, forgottenAtOnce];
      return Number(await redis.script('volumeForgetBefore', `shortening the history of ${volumeId}`, { keys, args }));
    },
    publish: (volume, commit, on) => publish(redis, { volume, commit }, on),
  };
}

async function publish(
  redis: RedisConnection,
  { volume, commit }: { readonly volume: Named; readonly commit: CommitRecord },
  { holdId, expected }: { readonly holdId: string; readonly expected: string | null },
): Promise<PublishResult> {
  const { account, name, id } = volume;
  const reply = await redis.script('volumePublish', `publishing commit ${commit.id} of volume ${name}`, {
    keys: [
      ...[...namesOf(account), redisKeys.volumeHeads(account)],
      ...[redisKeys.commits(account, id), redisKeys.history(account, id)],
      ...[redisKeys.holds(account), redisKeys.heldRoots(account), redisKeys.reserved(account, holdId)],
      ...[redisKeys.sweep(account), redisKeys.sinceSweep(account)],
    ],
    args: [name, id, expected ?? '', commit.id, JSON.stringify(commit), holdId],
  });
  const [outcome, head] = reply as [PublishResult['outcome'], (string | null)?];
  if (outcome !== 'moved') return { outcome };
  return { outcome, head: head == null ? null : decodeCommit(head) };
}

async function readHistory(
  redis: RedisConnection,
  { account, volumeId }: { readonly account: string; readonly volumeId: string },
  { limit, after }: { readonly limit: number; readonly after: string | null },
): Promise<CommitRecord[]> {
  const [commits, history] = [redisKeys.commits(account, volumeId), redisKeys.history(account, volumeId)];
  const what = `reading the history of ${volumeId}`;
  const at = after === null ? -1 : await redis.run(what, (client) => client.lpos(history, after));
  if (at === null) return [];
  const ids = await redis.run(what, (client) => client.lrange(history, at + 1, at + limit));
  if (ids.length === 0) return [];
  const records = await redis.run(what, (client) => client.hmget(commits, ...ids));
  // One that was dropped between the two reads.
  return records.filter((record) => record !== null).map(decodeCommit);
}

async function expireVolumes(redis: RedisConnection, account: string): Promise<string[]> {
  const lapsed = await redis.script('volumeLapsed', 'looking for volumes whose lease is over', {
    keys: namesOf(account),
    args: [expiredAtOnce],
  });
  const gone: string[] = [];
  for (const volume of (lapsed as string[]).map(decodeVolume)) {
    if (await deleteVolume(redis, volume, 'lapsed')) gone.push(volume.name);
  }
  return gone;
}

async function deleteVolume(
  redis: RedisConnection,
  { account, name, id }: Named,
  only: '' | 'lapsed',
): Promise<boolean> {
  const keys = [
    ...[...namesOf(account), redisKeys.volumeHeads(account)],
    ...[redisKeys.commits(account, id), redisKeys.history(account, id), redisKeys.volumeHosts(account)],
  ];
  return (await redis.script('volumeDelete', `deleting volume ${name}`, { keys, args: [name, id, only] })) === 1;
}

function namesOf(account: string): [string, string] {
  return [redisKeys.volumes(account), redisKeys.volumeLeases(account)];
}
