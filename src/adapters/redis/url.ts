import { HoldfastError } from '../../common/errors.js';

/** Where a Redis is and how to log in. */
export interface RedisAddress {
  readonly kind: 'single' | 'cluster' | 'sentinel';
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  readonly tls: boolean;
  readonly username: string | null;
  readonly password: string | null;
  readonly sentinelPassword: string | null;
  /** Of a single server or behind a Sentinel. */
  readonly db: number;
  /** What the Sentinels call the master; empty elsewhere. */
  readonly masterName: string;
  /** The url without credentials, for messages. */
  readonly shown: string;
}

const forms =
  'redis://[user:password@]host:port[/db], rediss:// for TLS, redis+cluster://host:port,host:port or redis+sentinel://host:port,host:port/master[/db]';
const pattern = /^redis(s?)(?:\+(cluster|sentinel))?:\/\/(?:([^@/]*)@)?([^/?@]+)((?:\/[^/?]*)*)(?:\?(.*))?$/;

/** @throws InvalidArgument, without the credentials that the url may contain */
export function parseRedisUrl(url: string): RedisAddress {
  const parts = pattern.exec(url);
  if (!parts) throw new HoldfastError('InvalidArgument', `the Redis url cannot be read: expected ${forms}`);
  const [, secure, variant, login, hosts = '', path = '', query] = parts;
  const kind = variant === 'cluster' || variant === 'sentinel' ? variant : 'single';
  const shown = `redis${secure}${variant ? `+${variant}` : ''}://${hosts}${path}`;
  const nodes = hosts.split(',').map((host) => parseNode(host, shown, kind === 'sentinel' ? 26_379 : 6_379));
  const [masterName, db] = kind === 'sentinel' ? splitPath(path, 2) : ['', splitPath(path, 1)[0]];
  if (kind === 'single' && nodes.length > 1)
    throw unreadable(shown, 'several hosts need redis+cluster or redis+sentinel');
  if (kind === 'sentinel' && !masterName) throw unreadable(shown, 'the name of the master is missing');
  if (kind === 'cluster' && db) throw unreadable(shown, 'a cluster has no numbered databases');
  return {
    kind,
    nodes,
    tls: secure === 's',
    ...parseLogin(login),
    sentinelPassword: new URLSearchParams(query).get('sentinelPassword'),
    db: parseDb(db, shown),
    masterName: masterName ?? '',
    shown,
  };
}

function parseNode(text: string, shown: string, defaultPort: number): { host: string; port: number } {
  const parts = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const host = parts?.[1] ?? parts?.[2];
  if (!host) throw unreadable(shown, `${JSON.stringify(text)} is not host:port`);
  return { host, port: parts?.[3] === undefined ? defaultPort : Number(parts[3]) };
}

function splitPath(path: string, count: number): string[] {
  return path
    .split('/')
    .slice(1, count + 1)
    .map(decodeURIComponent);
}

function parseLogin(login: string | undefined): Pick<RedisAddress, 'username' | 'password'> {
  if (!login) return { username: null, password: null };
  const [username = '', ...rest] = login.split(':');
  const password = rest.length > 0 ? decodeURIComponent(rest.join(':')) : null;
  return { username: username ? decodeURIComponent(username) : null, password };
}

function parseDb(text: string | undefined, shown: string): number {
  if (!text) return 0;
  if (!/^\d{1,4}$/.test(text)) throw unreadable(shown, `${JSON.stringify(text)} is not the number of a database`);
  return Number(text);
}

function unreadable(shown: string, why: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `Redis url ${shown}: ${why}; expected ${forms}`);
}
