import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { HoldfastError } from '../../common/errors.js';
import type {
  BorrowRequest,
  CancelSpawnedRequest,
  CreateTokenRequest,
  DeleteSecretRequest,
  DeployPart,
  DrainWorkerRequest,
  FetchSecretsRequest,
  GetSpawnedRequest,
  InspectRequest,
  ListInstancesRequest,
  ListSpawnedRequest,
  LogsRequest,
  LookupRequest,
  RetireSigningKeyRequest,
  RevokeTokenRequest,
  SetSecretRequest,
} from '../../wire/gen/holdfast/v1/router.js';
import { channelHandler } from '../../wire/grpc/grpc-server.js';
import { deploy } from '../apps/deploy.js';
import { imageHandlers } from '../images/image-handlers.js';
import { lend } from '../placement/lend.js';
import type { RouterParts } from '../router-parts.js';
import { fetchSecrets } from '../secrets/fetch-secrets.js';
import { cancelSpawned, getSpawned, listSpawned } from '../spawned.js';
import { inspect } from '../views/inspect.js';
import { deploymentView, listApps } from '../views/list-apps.js';
import { listInstances } from '../views/list-instances.js';
import { drainWorker, listWorkers } from '../views/list-workers.js';
import { readLogs } from '../views/logs.js';
import { volumeHandlers } from '../volumes/volume-handlers.js';
import { ControlStream } from './control-stream.js';
import { listSigningKeys, retireSigningKey, rotateSigningKey } from './key-rotation.js';
import type { Request } from './request.js';
import { downloadHandler, unaryHandler, uploadHandler } from './rpc.js';
import { issueToken, listTokens, revokeToken } from './tokens.js';

/** Each may hold a whole bundle in memory. */
const maxDeploysAtOnce = 4;

/** The gRPC service of a router. @param streams the control streams that are open, kept up to date */
export function routerHandlers(parts: RouterParts, streams: Set<ControlStream>): UntypedServiceImplementation {
  return {
    ...instanceHandlers(parts, streams),
    ...appHandlers(parts),
    ...tokenHandlers(parts),
    ...signingKeyHandlers(parts),
    ...secretHandlers(parts),
    ...volumeHandlers(parts),
    ...imageHandlers(parts),
  };
}

function instanceHandlers(parts: RouterParts, streams: Set<ControlStream>): UntypedServiceImplementation {
  return {
    control: channelHandler({
      authorize: async ({ token }) => {
        const authenticate = () => parts.auth.authenticate(token);
        return { principal: await authenticate(), authenticate };
      },
      accept: (channel, client) => {
        const onEnded = () => streams.delete(stream);
        const stream = new ControlStream({ ...parts, operations: parts }, { ...client, onEnded }, channel);
        streams.add(stream);
      },
    }),
    inspect: unaryHandler(parts, {
      name: 'Inspect',
      role: 'read',
      run: (ask: InspectRequest, request) => inspect(parts, ask, request),
    }),
    listInstances: unaryHandler(parts, {
      name: 'ListInstances',
      role: 'read',
      run: (ask: ListInstancesRequest, request) => listInstances(parts, ask, request),
    }),
    getSpawned: unaryHandler(parts, {
      name: 'GetSpawned',
      role: 'call',
      run: (ask: GetSpawnedRequest, request) => getSpawned(parts, ask, request),
    }),
    cancelSpawned: unaryHandler(parts, {
      name: 'CancelSpawned',
      role: 'call',
      run: (ask: CancelSpawnedRequest, request) => cancelSpawned(parts, ask, request),
    }),
    listSpawned: unaryHandler(parts, {
      name: 'ListSpawned',
      role: 'read',
      run: (ask: ListSpawnedRequest, request) => listSpawned(parts, ask, request),
    }),
    logs: downloadHandler(parts, {
      name: 'Logs',
      role: 'read',
      run: (ask: LogsRequest, request) => readLogs(parts, ask, request),
    }),
  };
}

function appHandlers(parts: RouterParts): UntypedServiceImplementation {
  const { deployments } = parts;
  return {
    deploy: uploadHandler(parts, { name: 'Deploy', role: 'deploy', run: deployBounded(parts) }),
    lookup: unaryHandler(parts, {
      name: 'Lookup',
      role: 'read',
      run: async ({ app, version }: LookupRequest, { account }) =>
        deploymentView(await deployments.lookup(account, app, version)),
    }),
    listApps: unaryHandler(parts, {
      name: 'ListApps',
      role: 'read',
      run: (_ask: unknown, request) => listApps(deployments, request),
    }),
    listWorkers: unaryHandler(parts, {
      name: 'ListWorkers',
      role: 'read',
      run: (_ask: unknown, request) => listWorkers(parts, request),
    }),
    drainWorker: unaryHandler(parts, {
      name: 'DrainWorker',
      role: 'deploy',
      run: (ask: DrainWorkerRequest, request) => drainWorker(parts, ask, request),
    }),
  };
}

function tokenHandlers(parts: RouterParts): UntypedServiceImplementation {
  const { store, clock, random, auth } = parts;
  const { keys } = store;
  return {
    createToken: unaryHandler(parts, {
      name: 'CreateToken',
      role: 'deploy',
      run: (ask: CreateTokenRequest, request) => issueToken({ keys, clock, random }, ask, request),
    }),
    listTokens: unaryHandler(parts, {
      name: 'ListTokens',
      role: 'deploy',
      run: (_ask: unknown, request) => listTokens(keys, request),
    }),
    revokeToken: unaryHandler(parts, {
      name: 'RevokeToken',
      role: 'deploy',
      run: (ask: RevokeTokenRequest, request) => revokeToken({ keys, auth }, ask, request),
    }),
  };
}

function signingKeyHandlers(parts: RouterParts): UntypedServiceImplementation {
  const { keys } = parts;
  return {
    rotateSigningKey: unaryHandler(parts, {
      name: 'RotateSigningKey',
      role: 'deploy',
      run: (_ask: unknown, request) => rotateSigningKey(keys, request),
    }),
    listSigningKeys: unaryHandler(parts, {
      name: 'ListSigningKeys',
      role: 'deploy',
      run: (_ask: unknown, request) => listSigningKeys(keys, request),
    }),
    retireSigningKey: unaryHandler(parts, {
      name: 'RetireSigningKey',
      role: 'deploy',
      run: (ask: RetireSigningKeyRequest, request) => retireSigningKey(keys, ask, request),
    }),
  };
}

function secretHandlers(parts: RouterParts): UntypedServiceImplementation {
  const { secrets } = parts;
  return {
    setSecret: unaryHandler(parts, {
      name: 'SetSecret',
      role: 'deploy',
      run: (ask: SetSecretRequest, request) => secrets.set(ask, request),
    }),
    listSecrets: unaryHandler(parts, {
      name: 'ListSecrets',
      role: 'read',
      run: (_ask: unknown, request) => secrets.list(request),
    }),
    deleteSecret: unaryHandler(parts, {
      name: 'DeleteSecret',
      role: 'deploy',
      run: ({ name }: DeleteSecretRequest, request) => secrets.delete(name, request),
    }),
    rotateSecretKey: unaryHandler(parts, {
      name: 'RotateSecretKey',
      role: 'deploy',
      run: (_ask: unknown, request) => secrets.rotate(request),
    }),
    fetchSecrets: unaryHandler(parts, {
      name: 'FetchSecrets',
      role: 'worker',
      run: (ask: FetchSecretsRequest, request) => fetchSecrets(parts, ask, request),
    }),
    borrow: unaryHandler(parts, {
      name: 'Borrow',
      role: 'worker',
      run: (ask: BorrowRequest, request) => lend(parts, ask, request),
    }),
  };
}

function deployBounded(parts: RouterParts) {
  let underWay = 0;
  return async (stream: AsyncIterable<DeployPart>, request: Request) => {
    if (underWay === maxDeploysAtOnce) {
      throw new HoldfastError(
        'Unavailable',
        `this router takes ${maxDeploysAtOnce} deploys at once; retry in a moment`,
      );
    }
    underWay += 1;
    try {
      return await deploy(parts, stream, request);
    } finally {
      underWay -= 1;
    }
  };
}
