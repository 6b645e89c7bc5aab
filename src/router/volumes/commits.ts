import { HoldfastError } from '../../common/errors.js';
import type { CommitRecord, RootRecord } from '../../common/ports/volume-store.js';
import { checkSize } from '../../common/volumes/commit.js';
import { weightOf } from '../../common/volumes/entry.js';
import { inParallel } from '../../common/volumes/in-parallel.js';
import { objectKey } from '../../common/volumes/object-key.js';
import { ObjectReader } from '../../common/volumes/object-reader.js';
import type {
  FindObjectsReply,
  FindObjectsRequest,
  HeldCommitView,
  HoldReply,
  HoldRequest,
  PublishCommitReply,
  PublishCommitRequest,
  ReserveObjectsReply,
  ReserveObjectsRequest,
} from '../../wire/gen/holdfast/v1/router.js';
import { commitOf, commitView } from '../../wire/volume-views.js';
import { patiently } from '../patience.js';
import type { RouterParts } from '../router-parts.js';
import type { Request } from '../service/request.js';
import { checkedHash, checkedHashes, checkedId } from './checks.js';

type Parts = Pick<RouterParts, 'clock' | 'store' | 'objects'>;

const [shortestHoldMs, longestHoldMs] = [1_000, 600_000];
const longestMessage = 4_096;
const askedAtOnce = 32;

/** Takes, extends, renews or ends the hold of a client. @throws InvalidArgument */
export async function hold({ clock, store }: Parts, ask: HoldRequest, request: Request): Promise<HoldReply> {
  const { account } = request;
  const id = checkedId('hold', ask.id);
  const { holds } = store;
  const { op } = ask;
  const answer = async (): Promise<boolean> => {
    switch (op?.$case) {
      case 'take': {
        const commit = op.value.commit === undefined ? null : held(op.value.commit);
        return await holds.hold(account, { id, ttlMs: checkedLife(op.value.ttlMs), commit });
      }
      case 'also':
        return await holds.holdAlso(account, id, held(op.value));
      case 'renewForMs':
        return await holds.renew(account, id, checkedLife(op.value));
      case 'release':
        await holds.release(account, id);
        return true;
      case undefined:
        throw new HoldfastError('InvalidArgument', `what shall become of hold ${id}?`);
    }
  };
  return { held: await patiently(clock, request, answer) };
}

export async function reserveObjects(
  { clock, store }: Parts,
  ask: ReserveObjectsRequest,
  request: Request,
): Promise<ReserveObjectsReply> {
  const { account } = request;
  const [id, hashes] = [checkedId('hold', ask.holdId), checkedHashes(ask.hashes)];
  const condemned = await patiently(clock, request, () => store.holds.reserve(account, id, hashes));
  return { lapsed: condemned === null, condemned: condemned ?? [] };
}

/** Those that are in the object store. */
export async function findObjects(
  { objects }: Parts,
  ask: FindObjectsRequest,
  { account }: Request,
): Promise<FindObjectsReply> {
  const found: string[] = [];
  await inParallel(checkedHashes(ask.hashes), askedAtOnce, async (hash) => {
    if (await objects.has(objectKey(account, hash))) found.push(hash);
  });
  return { found };
}

/** A client's commit, whose root is looked at: it must be there, add up, and fit. @throws InvalidArgument, PayloadTooLarge */
export async function publishCommit(
  parts: Parts,
  ask: PublishCommitRequest,
  request: Request,
): Promise<PublishCommitReply> {
  const { store, clock } = parts;
  const { account } = request;
  if (ask.commit?.root === undefined) throw new HoldfastError('InvalidArgument', 'a commit has a root');
  const volumeId = checkedId('volume', ask.volumeId);
  const commit: CommitRecord = { ...commitOf(ask.commit), atMs: clock.now() };
  checkedId('commit', commit.id);
  if (commit.message.length > longestMessage)
    throw new HoldfastError('InvalidArgument', `the message of a commit has at most ${longestMessage} characters`);
  await checkRoot(parts, account, commit.root);
  const found = await patiently(clock, request, () => store.volumes.find(account, ask.volumeName));
  if (found?.volume.id !== volumeId) return { outcome: 'gone', head: undefined };
  checkSize(found.volume, commit.root.bytes);
  const on = { holdId: checkedId('hold', ask.holdId), expected: ask.expected ?? null };
  const result = await patiently(clock, request, () => store.volumes.publish(found.volume, commit, on));
  const head = result.outcome === 'moved' && result.head !== null ? commitView(result.head) : undefined;
  return { outcome: result.outcome, head };
}

/** What is below it is for whoever reads it to check; its sums are what sizes are told by. */
async function checkRoot({ objects, clock }: Parts, account: string, root: RootRecord): Promise<void> {
  const reader = new ObjectReader({ objects, account, clock });
  const node = await reader.node({ hash: checkedHash(root.hash) });
  const parts =
    node.kind === 'leaf'
      ? [...node.entries.values()].map(({ entry }) => weightOf(entry))
      : node.children.filter((child) => child !== null);
  const [files, bytes] = [
    parts.reduce((sum, part) => sum + part.files, 0),
    parts.reduce((sum, part) => sum + part.bytes, 0),
  ];
  if (files === root.files && bytes === root.bytes && root.mode <= 0o7777) return;
  throw new HoldfastError(
    'InvalidArgument',
    `the root of a commit says ${root.files} files and ${root.bytes} bytes, its entries have ${files} and ${bytes}`,
  );
}

function held({ volumeId, commitId }: HeldCommitView) {
  return { volumeId: checkedId('volume', volumeId), commitId: checkedId('commit', commitId) };
}

function checkedLife(ms: number): number {
  if (ms >= shortestHoldMs && ms <= longestHoldMs) return ms;
  throw new HoldfastError(
    'InvalidArgument',
    `the life of a hold must be from ${shortestHoldMs} to ${longestHoldMs} ms`,
  );
}
