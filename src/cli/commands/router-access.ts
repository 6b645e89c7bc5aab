import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { coreOf } from '../../sdk/client.js';
import type { ClientCore } from '../../sdk/client-core.js';
import { unreachable } from '../../sdk/router-errors.js';
import * as proto from '../../wire/gen/holdfast/v1/router.js';
import { withClient } from './client-access.js';
import type { CommandContext } from './command-context.js';
import type { Connection } from './connection.js';

/** A unary method of the router with the shapes of its messages. */
export interface RouterMethod<Request, Reply> {
  readonly name: string;
  readonly request: proto.MessageFns<Request>;
  readonly reply: proto.MessageFns<Reply>;
}

/** What the commands ask of a router. */
export const routerMethods = {
  inspect: { name: 'Inspect', request: proto.InspectRequest, reply: proto.InspectReply },
  listInstances: { name: 'ListInstances', request: proto.ListInstancesRequest, reply: proto.ListInstancesReply },
  listWorkers: { name: 'ListWorkers', request: proto.ListWorkersRequest, reply: proto.ListWorkersReply },
  listApps: { name: 'ListApps', request: proto.ListAppsRequest, reply: proto.ListAppsReply },
  drainWorker: { name: 'DrainWorker', request: proto.DrainWorkerRequest, reply: proto.DrainWorkerReply },
  createToken: { name: 'CreateToken', request: proto.CreateTokenRequest, reply: proto.CreateTokenReply },
  listTokens: { name: 'ListTokens', request: proto.ListTokensRequest, reply: proto.ListTokensReply },
  revokeToken: { name: 'RevokeToken', request: proto.RevokeTokenRequest, reply: proto.RevokeTokenReply },
} as const;

const answerWithinMs = 30_000;

/** A connection to a router for the length of one command. */
export interface RouterAccess {
  /** @throws what the router answers, Unavailable, Cancelled */
  ask<Request, Reply>(
    method: RouterMethod<Request, Reply>,
    message: Request,
    options?: { readonly timeoutMs?: number },
  ): Promise<Reply>;
  /** By name, so that an instance that is not there is not made only to be closed. */
  close(
    target: proto.InstanceName,
    options: { readonly force: boolean; readonly timeoutMs: number },
  ): Promise<proto.CloseReply>;
}

/** Connects, works, and lets go of the connection whatever happens. */
export async function withRouter<T>(
  connection: Connection,
  { signal }: CommandContext,
  work: (router: RouterAccess) => Promise<T>,
): Promise<T> {
  return withClient(connection, (client) => {
    const core = coreOf(client);
    return work({
      ask: (method, message, { timeoutMs = answerWithinMs } = {}) => ask(core, { method, message, timeoutMs, signal }),
      close: (value, { force, timeoutMs }) =>
        core.close(
          { $case: 'close', value: { target: { $case: 'instance', value }, force } },
          { remainingMs: timeoutMs, signal },
        ),
    });
  });
}

/** Once: what is asked here may change something. */
async function ask<Request, Reply>(
  core: ClientCore,
  call: {
    readonly method: RouterMethod<Request, Reply>;
    readonly message: Request;
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
  },
): Promise<Reply> {
  const { method, message, timeoutMs, signal } = call;
  const bytes = method.request.encode(message).finish();
  try {
    return method.reply.decode(await core.transport.unary(method.name, bytes, { timeoutMs, signal }));
  } catch (e) {
    // The words of gRPC for that say nothing to people.
    throw isHoldfastError(e, 'Unavailable') && e.outcome === 'not-run' ? unreachable(core.endpoint, e) : e;
  }
}

/** A field that the router always fills in. @throws Internal */
export function present<T>(value: T | undefined, what: string): T {
  if (value !== undefined) return value;
  throw new HoldfastError('Internal', `the router answered without ${what}: is it of another version than this CLI?`);
}
