import { randomUUID } from 'node:crypto';
import { isHoldfastError } from '../../../common/errors.js';
import type { CommandContext } from '../command-context.js';
import type { Connection } from '../connection.js';
import { type Finding, findingsOf } from './finding.js';
import { natsRules } from './nats-rules.js';
import { redisRules } from './redis-rules.js';

/** A third of the way to a lease's end is where alerts belong. */
const oldLeaseMs = 5_000;

/** What there is to look at; null is left out. */
export interface ClusterPlaces {
  readonly redis: string | null;
  readonly nats: string | null;
  readonly objects: string | null;
  readonly router: Connection | null;
}

/** Looks at each; one that does not answer is a finding too. @throws InvalidArgument for a url */
export async function examineCluster(places: ClusterPlaces, context: CommandContext): Promise<Finding[]> {
  const { redis, nats, objects, router } = places;
  const found = await Promise.all([
    redis === null ? [] : examineRedis(redis, context),
    nats === null ? [] : examineNats(nats),
    objects === null ? [] : examineObjects(objects),
    router === null ? [] : examineWorkers(router, context),
  ]);
  return found.flat();
}

async function examineRedis(url: string, { clock }: CommandContext): Promise<Finding[]> {
  const { readRedisServers } = await import('../../../adapters/redis/server-info.js');
  const servers = await orAway('redis', readRedisServers({ url, clock }));
  return 'of' in servers ? [servers] : servers.flatMap((server) => findingsOf('redis', server, redisRules));
}

async function examineNats(url: string): Promise<Finding[]> {
  const { readNatsServer } = await import('../../../adapters/nats/server-info.js');
  const server = await orAway('nats', readNatsServer(url));
  return 'of' in server ? [server] : findingsOf('nats', server, natsRules);
}

/** Whether an object can be written, read and removed: the rights that routers and workers need. */
async function examineObjects(place: string): Promise<Finding[]> {
  const { openObjectStore } = await import('../../parts/object-store.js');
  const probe = async (): Promise<Finding> => {
    const { objects } = await openObjectStore(place);
    const key = `doctor/${randomUUID()}`;
    const bytes = Buffer.from(key);
    await objects.put(key, bytes);
    const read = await objects.get(key);
    await objects.delete(key);
    const isSame = read !== null && bytes.equals(read);
    return isSame ? fine('objects', place) : wrongObject(place);
  };
  return [await orAway('objects', probe())];
}

async function examineWorkers(connection: Connection, context: CommandContext): Promise<Finding[]> {
  const { routerMethods, withRouter } = await import('../router-access.js');
  const asked = withRouter(connection, context, (router) => router.ask(routerMethods.listWorkers, {}));
  const reply = await orAway('workers', asked);
  if ('of' in reply) return [reply];
  if (reply.workers.length === 0) {
    const says = 'the router knows of no worker: nothing can be placed';
    return [{ of: 'workers', which: connection.endpoint, level: 'problem', says, next: 'start `holdfast worker`' }];
  }
  return reply.workers.map((worker) => {
    const { id, state, leaseAgeMs } = worker;
    const broken = { of: 'workers', which: id } as const;
    if (state !== 'ready') {
      const next =
        state === 'lost' ? 'see its log; start it again' : 'it takes no new instances until it is started again';
      return { ...broken, level: 'warning', says: `is ${state}`, next };
    }
    if (leaseAgeMs <= oldLeaseMs) return fine('workers', id);
    const says = `renewed its lease ${Math.round(leaseAgeMs)} ms ago: it fences itself when that goes on`;
    return { ...broken, level: 'problem', says, next: 'see whether it reaches Redis, and how busy its host is' };
  });
}

function fine(of: Finding['of'], which: string): Finding {
  return { of, which, level: 'ok', says: 'as it should be', next: null };
}

function wrongObject(which: string): Finding {
  const says = 'gives back other bytes than it was given';
  return { of: 'objects', which, level: 'problem', says, next: 'use a store that is consistent after a write' };
}

/** What does not answer is what the operator wants to see; a mistake in the command is not. */
async function orAway<Result>(of: Finding['of'], asked: Promise<Result>): Promise<Result | Finding> {
  try {
    return await asked;
  } catch (error) {
    if (isHoldfastError(error, 'InvalidArgument')) throw error;
    const says = error instanceof Error ? error.message : String(error);
    return { of, which: '-', level: 'problem', says, next: null };
  }
}
