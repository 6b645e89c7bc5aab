import type { ConnectionOptions } from 'nats';
import { HoldfastError } from '../../common/errors.js';

const forms = 'nats://[user:password@]host:port[,host:port], with tls:// for TLS or token@ for a token';
const pattern = /^(nats|tls):\/\/(?:([^@/]*)@)?([^/?@]+)\/?$/;

/** What the client takes of a url, and the url without credentials, for messages. */
export type NatsAddress = Pick<ConnectionOptions, 'servers' | 'user' | 'pass' | 'token' | 'tls'> & {
  readonly shown: string;
};

/** @throws InvalidArgument, without the credentials that the url may contain */
export function parseNatsUrl(url: string): NatsAddress {
  const [, scheme, login, hosts] = pattern.exec(url) ?? [];
  if (!scheme || !hosts) throw new HoldfastError('InvalidArgument', `the NATS url cannot be read: expected ${forms}`);
  return {
    shown: `${scheme}://${hosts}`,
    servers: hosts.split(','),
    ...(scheme === 'tls' ? { tls: {} } : {}),
    ...parseLogin(login),
  };
}

function parseLogin(login: string | undefined): Pick<ConnectionOptions, 'user' | 'pass' | 'token'> {
  if (!login) return {};
  const [user = '', ...pass] = login.split(':').map(decodeURIComponent);
  return pass.length === 0 ? { token: user } : { user, pass: pass.join(':') };
}
