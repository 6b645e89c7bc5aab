import type { Logger } from '../../common/context.js';
import { HoldfastError } from '../../common/errors.js';
import { instanceKey } from '../../common/ids.js';
import type { Pin } from '../../common/pin.js';
import type { Bus } from '../../common/ports/bus.js';
import type { PinScope, Store } from '../../common/ports/store.js';
import type { ListInstancesReply, ListInstancesRequest } from '../../wire/gen/holdfast/v1/router.js';
import type { Deployments } from '../apps/deployments.js';
import { instanceView, readLoads } from '../placement/instance-loads.js';
import type { Request } from '../service/request.js';

const defaultLimit = 100;
const maxLimit = 1_000;

/** Where the next page begins. */
interface Position {
  readonly app: string;
  readonly className: string;
  /** Of the store; null: at the beginning of the class. */
  readonly after: string | null;
}

export interface ListParts {
  readonly bus: Bus;
  readonly log: Logger;
  readonly store: Store;
  readonly deployments: Deployments;
}

/** Live instances, class by class in the order of their names, oldest first within a class. @throws InvalidArgument */
export async function listInstances(
  parts: ListParts,
  ask: ListInstancesRequest,
  request: Request,
): Promise<ListInstancesReply> {
  const limit = ask.limit > 0 ? Math.min(ask.limit, maxLimit) : defaultLimit;
  const from = ask.after === '' ? null : decodePosition(ask.after);
  const pins: Pin[] = [];
  let next: Position | null = null;
  for (const scope of await scopesFrom(parts, { ask, account: request.account }, from)) {
    if (pins.length === limit) {
      next = { ...scope, after: null };
      break;
    }
    const isFirst = from?.app === scope.app && from.className === scope.className;
    const page = await parts.store.pins.list(scope, { limit: limit - pins.length, after: isFirst ? from.after : null });
    pins.push(...page.pins);
    if (page.next !== null) {
      next = { ...scope, after: page.next };
      break;
    }
  }
  request.waiting.what = 'workers to describe their instances';
  const loads = await readLoads(parts, pins, request.signal);
  return {
    instances: pins.map((pin) => instanceView(pin, loads.get(instanceKey(pin.identity)))),
    next: next === null ? '' : encodePosition(next),
  };
}

/** The classes to read, from that position on. */
async function scopesFrom(
  { deployments }: ListParts,
  { ask, account }: { readonly ask: ListInstancesRequest; readonly account: string },
  from: Position | null,
): Promise<PinScope[]> {
  const named = ask.app !== '' && ask.className !== '';
  const scopes = named
    ? [{ account, app: ask.app, className: ask.className }]
    : (await deployments.list(account))
        .filter(({ app }) => ask.app === '' || app === ask.app)
        .flatMap(({ app, manifest }) => Object.keys(manifest.classes).map((className) => ({ account, app, className })))
        .filter(({ className }) => ask.className === '' || className === ask.className)
        .sort(byName);
  return from === null ? scopes : scopes.filter((scope) => byName(scope, from) >= 0);
}

type Named = { readonly app: string; readonly className: string };

function byName(a: Named, b: Named): number {
  return compare(a.app, b.app) || compare(a.className, b.className);
}

function compare(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function encodePosition({ app, className, after }: Position): string {
  return Buffer.from(JSON.stringify([app, className, after]), 'utf8').toString('base64url');
}

function decodePosition(text: string): Position {
  try {
    const [app, className, after] = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    if ([app, className].every((part) => typeof part === 'string') && (after === null || typeof after === 'string')) {
      return { app, className, after };
    }
  } catch {
    // Not JSON: refused below, as what is JSON but no position.
  }
  throw new HoldfastError('InvalidArgument', '`after` is not the `next` of an earlier page');
}
