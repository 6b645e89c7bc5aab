import { HoldfastError } from '../../common/errors.js';
import type { ObjectMover } from '../../common/ports/object-mover.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import { Turns } from '../../common/turns.js';
import { hashInKey } from '../../common/volumes/object-key.js';
import {
  FindObjectsReply,
  FindObjectsRequest,
  GetObjectRequest,
  ObjectPart,
  type SignedView,
  SignObjectsReply,
  SignObjectsRequest,
} from '../../wire/gen/holdfast/v1/router.js';
import { during, type Limits } from '../calls/call-limits.js';
import type { ClientCore } from '../sessions/client-core.js';
import { signedRequest } from './signed-request.js';

const partBytes = 262_144;
/** For one object, which has 64 MiB at most. */
const moveWithinMs = 300_000;
/** Of one that goes to the object store itself, on a link that others use, too. */
const slowestBytesPerS = 16_384;
/** An object store that moves no byte for so long stalls. */
const silentMs = 15_000;
/** A router takes some at once, and others move theirs, too. */
const putsAtOnce = 6;

/**
 * The objects of the account's volumes, as a client reaches them: through whoever moves them for it, else by signed urls where
 * the object store has them, else through the router. Keys are those of `objectKey`; the account in them is the token's,
 * whatever they say.
 */
export function remoteObjects(core: ClientCore, limits?: Limits): Pick<ObjectStore, 'get' | 'has' | 'put'> {
  const way = { core, limits };
  const has: ObjectStore['has'] = async (key) => {
    const request = { hashes: [hashOf(key)] };
    const question = { request, of: FindObjectsRequest, reply: FindObjectsReply };
    const { found } = await core.ask('FindObjects', question, limits);
    return found.length > 0;
  };
  const { objects: mover } = core.transport;
  return { has, ...(mover === undefined ? ownWays(way) : throughMover(way, mover)) };
}

function throughMover(way: Way, mover: ObjectMover): Pick<ObjectStore, 'get' | 'put'> {
  const timeoutMs = moveWithinMs;
  return {
    put: (key, bytes) => inTime(way, (signal) => mover.put(hashOf(key), bytes, { signal, timeoutMs })),
    get: (key) => inTime(way, (signal) => mover.get(hashOf(key), { signal, timeoutMs })),
  };
}

function ownWays(way: Way): Pick<ObjectStore, 'get' | 'put'> {
  const turns = new Turns(putsAtOnce);
  const sign = signer(way);
  return {
    put: (key, bytes) => turns.take(async () => put(way, await sign('put', hashOf(key)), { hash: hashOf(key), bytes })),
    get: async (key) => {
      const hash = hashOf(key);
      const signed = await sign('get', hash);
      return signed === null ? await getThrough(way, hash) : await getSigned(way, signed);
    },
  };
}

/** A client, and how long one call through it may take. */
interface Way {
  readonly core: ClientCore;
  readonly limits: Limits | undefined;
}

async function put(
  way: Way,
  signed: SignedView | null,
  { hash, bytes }: { readonly hash: string; readonly bytes: Uint8Array },
): Promise<void> {
  if (signed !== null) {
    await exchange(way, signed, { method: 'PUT', body: bytes });
    return;
  }
  const { core, limits } = way;
  const { upload } = core.transport;
  if (upload === undefined) throw noWay(core);
  const { signal, timeoutMs = moveWithinMs } = limits?.rest ?? {};
  const sent = upload('PutObject', partsOf(hash, bytes), { signal, timeoutMs: Math.min(timeoutMs, moveWithinMs) });
  await during(limits, sent);
}

function* partsOf(hash: string, bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at === 0 || at < bytes.length; at += partBytes) {
    const part = bytes.subarray(at, at + partBytes);
    const view = Buffer.from(part.buffer, part.byteOffset, part.length);
    yield ObjectPart.encode({ hash: at === 0 ? hash : '', bytes: view }).finish();
  }
}

async function getThrough(way: Way, hash: string): Promise<Uint8Array> {
  const { download } = way.core.transport;
  if (download === undefined) throw noWay(way.core);
  return await inTime(way, async (signal) => {
    const pieces: Uint8Array[] = [];
    for await (const part of download('GetObject', GetObjectRequest.encode({ hash }).finish(), { signal }))
      pieces.push(ObjectPart.decode(part).bytes);
    return Buffer.concat(pieces);
  });
}

async function getSigned(way: Way, signed: SignedView): Promise<Uint8Array | null> {
  return await exchange(way, signed, { method: 'GET' });
}

/** Null: the object store signs nothing, and so it will be for this client. */
function signer({ core, limits }: Way): (what: 'get' | 'put', hash: string) => Promise<SignedView | null> {
  let signsNothing = false;
  return async (what, hash) => {
    if (signsNothing) return null;
    const request = { hashes: [hash], for: what };
    const question = { request, of: SignObjectsRequest, reply: SignObjectsReply };
    const { requests } = await core.ask('SignObjects', question, limits);
    signsNothing = requests.length === 0;
    return requests[0] ?? null;
  };
}

/** Null: it is not there. @throws Unavailable */
async function exchange(
  way: Way,
  { url, headers }: SignedView,
  how: { readonly method: 'GET' } | { readonly method: 'PUT'; readonly body: Uint8Array },
): Promise<Uint8Array | null> {
  const moved = inTime(
    way,
    async (signal) => {
      const { status, body } = await signedRequest(url, { ...how, headers, signal, silentMs });
      if (status >= 200 && status < 300) return body;
      if (status === 404 && how.method === 'GET') return null;
      throw new HoldfastError('Unavailable', `the object store at ${new URL(url).host} answered ${status}`);
    },
    how.method === 'PUT' ? how.body.length : 0,
  );
  return await way.core.keepAlive.during(moved);
}

/** @param bytes that are sent: a slow link has the time for them */
async function inTime<T>({ core, limits }: Way, work: (signal: AbortSignal) => Promise<T>, bytes = 0): Promise<T> {
  const late = new AbortController();
  const withinMs = moveWithinMs + Math.ceil(bytes / slowestBytesPerS) * 1_000;
  const timer = core.clock.after(withinMs, () =>
    late.abort(new HoldfastError('Unavailable', `an object of a volume did not move within ${withinMs} ms`)),
  );
  try {
    return await during(limits, work(late.signal));
  } catch (error) {
    // Nobody waits for its bytes any more.
    late.abort(error);
    throw error;
  } finally {
    timer.cancel();
  }
}

function hashOf(key: string): string {
  const hash = hashInKey(key);
  if (hash === null) throw new HoldfastError('Internal', `${key} is no key of an object of a volume`);
  return hash;
}

function noWay({ endpoint }: ClientCore): HoldfastError {
  return new HoldfastError(
    'Unavailable',
    `${endpoint} moves no files of volumes; use them from a program or with the CLI`,
    { retryable: false },
  );
}
