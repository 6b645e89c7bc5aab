import { existsSync } from 'node:fs';
import { HoldfastError } from '../../common/errors.js';
import { readDevState } from '../dev/state-file.js';
import type { ConnectionOptions } from './options.js';

/** Which cluster, and with which rights. */
export interface Connection {
  readonly endpoint: string;
  readonly token: string;
  readonly tls?: { readonly ca: string };
}

const defaultEndpoint = '127.0.0.1:7070';

/**
 * Options win over the environment, and that over a `holdfast dev` that runs on this machine, whose token is for its own
 * endpoint only; as the SDK has it, but where nothing names a cluster it says so at once.
 *
 * @throws InvalidArgument where nothing names a cluster, Unauthenticated without a token
 */
export function findConnection(options: ConnectionOptions, env: NodeJS.ProcessEnv): Connection {
  const dev = readDevState(env);
  const givenToken = options.token || env['HOLDFAST_TOKEN'];
  const named = options.endpoint || env['HOLDFAST_ENDPOINT'] || dev?.endpoint;
  if (!named && !givenToken) {
    throw new HoldfastError(
      'InvalidArgument',
      'no cluster to talk to: start one with `holdfast dev`, or give --endpoint or HOLDFAST_ENDPOINT',
    );
  }
  const endpoint = named || defaultEndpoint;
  const token = givenToken || (dev?.endpoint === endpoint ? dev.token : undefined);
  if (!token) throw new HoldfastError('Unauthenticated', `no token for ${endpoint}`);
  const ca = options.ca || env['HOLDFAST_CA'];
  if (ca && !existsSync(ca))
    throw new HoldfastError('InvalidArgument', `the certificate authority ${ca} is not a file`);
  return { endpoint, token, ...(ca ? { tls: { ca } } : {}) };
}
