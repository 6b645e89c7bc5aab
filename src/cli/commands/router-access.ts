import { HoldfastError } from '../../common/errors.js';
import { coreOf } from '../../sdk/client.js';
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
  lookup: { name: 'Lookup', request: proto.LookupRequest, reply: proto.Deployment },
  listInstances: { name: 'ListInstances', request: proto.ListInstancesRequest, reply: proto.ListInstancesReply },
  listSpawned: { name: 'ListSpawned', request: proto.ListSpawnedRequest, reply: proto.ListSpawnedReply },
  listWorkers: { name: 'ListWorkers', request: proto.ListWorkersRequest, reply: proto.ListWorkersReply },
  listApps: { name: 'ListApps', request: proto.ListAppsRequest, reply: proto.ListAppsReply },
  drainWorker: { name: 'DrainWorker', request: proto.DrainWorkerRequest, reply: proto.DrainWorkerReply },
  createToken: { name: 'CreateToken', request: proto.CreateTokenRequest, reply: proto.CreateTokenReply },
  listTokens: { name: 'ListTokens', request: proto.ListTokensRequest, reply: proto.ListTokensReply },
  rotateSecretKey: {
    name: 'RotateSecretKey',
    request: proto.RotateSecretKeyRequest,
    reply: proto.RotateSecretKeyReply,
  },
  listImages: { name: 'ListImages', request: proto.ListImagesRequest, reply: proto.ListImagesReply },
  sweepImages: { name: 'SweepImages', request: proto.SweepImagesRequest, reply: proto.SweepImagesReply },
  sweepVolumes: { name: 'SweepVolumes', request: proto.SweepVolumesRequest, reply: proto.SweepVolumesReply },
  rotateSigningKey: {
    name: 'RotateSigningKey',
    request: proto.RotateSigningKeyRequest,
    reply: proto.RotateSigningKeyReply,
  },
  listSigningKeys: {
    name: 'ListSigningKeys',
    request: proto.ListSigningKeysRequest,
    reply: proto.ListSigningKeysReply,
  },
  retireSigningKey: {
    name: 'RetireSigningKey',
    request: proto.RetireSigningKeyRequest,
    reply: proto.RetireSigningKeyReply,
  },
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
      ask: ({ name, request: of, reply }, request, { timeoutMs = answerWithinMs } = {}) =>
        core.change(name, { request, of, reply }, { timeoutMs, signal }),
      close: (value, { force, timeoutMs }) =>
        core.close(
          { $case: 'close', value: { target: { $case: 'instance', value }, force } },
          { remainingMs: timeoutMs, signal },
        ),
    });
  });
}

/** A field that the router always fills in. @throws Internal */
export function present<T>(value: T | undefined, what: string): T {
  if (value !== undefined) return value;
  throw new HoldfastError('Internal', `the router answered without ${what}: is it of another version than this CLI?`);
}
