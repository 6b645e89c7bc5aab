import { isIP } from 'node:net';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { HoldfastError } from '../../common/errors.js';
import { stateFolder } from '../dev/state-file.js';
import type { TlsFiles } from '../parts/services.js';
import { checkPem, positiveNumber } from './options.js';

/** Options that routers and workers share, as commander gives them. */
export interface ServerOptions {
  readonly listen: string;
  readonly nats?: string;
  readonly redis?: string;
  readonly account: string;
  readonly http?: string;
  readonly objectStore?: string;
  readonly advertise?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly allowPlain?: boolean;
  readonly leaseTtl: number;
}

/** The same, checked. */
export interface ServerSettings {
  readonly listen: string;
  readonly account: string;
  readonly natsUrl: string;
  readonly redisUrl: string;
  /** A folder or a url. */
  readonly objectStore: string;
  readonly leaseTtlMs: number;
  readonly advertise?: string;
  readonly http?: string;
  readonly tls?: TlsFiles;
}

const defaultLeaseTtlMs = 15_000;
const shortestLeaseTtlMs = 1_500;

/** Adds the options that routers and workers share. */
export function withServer(command: Command, listen: { readonly default: string }): Command {
  return command
    .option('--listen <host:port>', 'gRPC; port 0 takes a free one', listen.default)
    .option('--nats <url>', 'nats://host:port (env: HOLDFAST_NATS_URL)')
    .option('--redis <url>', 'redis://host:port (env: HOLDFAST_REDIS_URL)')
    .option('--account <name>', 'whose instances', 'default')
    .option('--advertise <host:port>', 'what clients are told; default: --listen')
    .option('--http <host:port>', 'serve /healthz, /readyz and /metrics')
    .option('--object-store <place>', 'shared folder, or s3://bucket/prefix?endpoint=URL (env: HOLDFAST_OBJECT_STORE)')
    .option('--tls-cert <file>', 'PEM certificate of this process')
    .option('--tls-key <file>', 'PEM key of the certificate')
    .option('--tls-ca <file>', 'PEM authority; clients must show a certificate of it')
    .option('--allow-plain', 'no TLS although --listen is not loopback')
    .addOption(
      new Option('--lease-ttl <ms>', 'life of a lease, the same for all routers and workers')
        .argParser(positiveNumber)
        .default(defaultLeaseTtlMs),
    );
}

/** @throws InvalidArgument */
export function checkServer(options: ServerOptions, env: NodeJS.ProcessEnv): ServerSettings {
  const { listen, account, advertise, http, leaseTtl: leaseTtlMs } = options;
  checkAddress('--listen', listen);
  if (advertise !== undefined) checkAddress('--advertise', advertise);
  if (http !== undefined) checkAddress('--http', http);
  const tls = checkTls(options);
  if (!tls && !options.allowPlain && !isLoopback(listen)) {
    throw wrong(
      `--listen ${listen} is not loopback: give --tls-cert and --tls-key, or --allow-plain on a trusted network`,
    );
  }
  if (leaseTtlMs < shortestLeaseTtlMs)
    throw wrong(`--lease-ttl ${leaseTtlMs} is too short: ${shortestLeaseTtlMs} ms or more`);
  return {
    listen,
    account,
    leaseTtlMs,
    natsUrl: required(options.nats || env['HOLDFAST_NATS_URL'], 'NATS', '--nats nats://host:port or HOLDFAST_NATS_URL'),
    redisUrl: required(
      options.redis || env['HOLDFAST_REDIS_URL'],
      'Redis',
      '--redis redis://host:port or HOLDFAST_REDIS_URL',
    ),
    objectStore: options.objectStore || env['HOLDFAST_OBJECT_STORE'] || join(stateFolder(env), 'objects'),
    ...(advertise === undefined ? {} : { advertise }),
    ...(http === undefined ? {} : { http }),
    ...(tls === undefined ? {} : { tls }),
  };
}

/** What the `ready` line of a part says, which scripts wait for. */
export function readyFields(part: {
  readonly id: string;
  readonly address: string;
  readonly httpAddress: string | null;
}): Record<string, string> {
  const { id, address, httpAddress } = part;
  return { id, address, ...(httpAddress === null ? {} : { http: httpAddress }) };
}

/** @throws InvalidArgument */
export function checkAddress(option: string, text: string): void {
  const port = Number(/^(?:\[[^\]]+\]|[^:[\]\s]+):(\d{1,5})$/.exec(text)?.[1] ?? Number.NaN);
  if (port <= 65_535) return;
  throw wrong(`${option} must be host:port, e.g. 127.0.0.1:7070, got ${JSON.stringify(text)}`);
}

/** Whether only this machine reaches an address `host:port`. */
export function isLoopback(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function checkTls({ tlsCert: cert, tlsKey: key, tlsCa: ca }: ServerOptions): TlsFiles | undefined {
  if (cert === undefined && key === undefined && ca === undefined) return undefined;
  if (cert === undefined || key === undefined) throw wrong('TLS needs both --tls-cert and --tls-key');
  checkPem('--tls-cert', cert);
  checkPem('--tls-key', key);
  if (ca !== undefined) checkPem('--tls-ca', ca);
  return { cert, key, ...(ca === undefined ? {} : { ca }) };
}

function required(url: string | undefined, what: string, how: string): string {
  if (url) return url;
  throw wrong(`which ${what}? give ${how}; to try Holdfast on one machine, \`holdfast dev\` needs neither`);
}

function wrong(message: string): HoldfastError {
  return new HoldfastError('InvalidArgument', message);
}
