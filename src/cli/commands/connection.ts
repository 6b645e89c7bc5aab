import { HoldfastError } from '../../common/errors.js';
import { readDevState } from '../dev/state-file.js';
import { type ConnectionOptions, checkPem } from './options.js';

/** Which cluster, and with which rights. */
export interface Connection {
  readonly endpoint: string;
  readonly token: string;
  /** Paths of PEM files. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
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
  const tls = tlsFiles(options, env);
  return { endpoint, token, ...(tls === null ? {} : { tls }) };
}

function tlsFiles(options: ConnectionOptions, env: NodeJS.ProcessEnv): NonNullable<Connection['tls']> | null {
  const given = {
    ca: options.ca || env['HOLDFAST_CA'],
    cert: options.cert || env['HOLDFAST_CERT'],
    key: options.key || env['HOLDFAST_KEY'],
  };
  if (!given.cert !== !given.key) {
    const [there, missing] = given.cert ? ['certificate', '--key or HOLDFAST_KEY'] : ['key', '--cert or HOLDFAST_CERT'];
    throw new HoldfastError('InvalidArgument', `there is only a ${there} to show: give ${missing} too`);
  }
  const files = Object.entries(given).filter((entry): entry is [keyof typeof given, string] => !!entry[1]);
  for (const [name, file] of files) checkPem(`--${name}`, file);
  return files.length === 0 ? null : Object.fromEntries(files);
}
