import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom } from '../adapters/system/clock.js';
import { HoldfastError } from '../common/errors.js';
import { createGrpcTransport, type GrpcTransport } from '../wire/grpc/grpc-transport.js';
import { initTracing } from '../wire/tracing.js';
import type { ClientOptions } from './client.js';
import type { ClientParts } from './sessions/client-core.js';

/** What `new Client()` was given. */
export interface GivenSettings {
  readonly endpoint?: string;
  readonly token?: string;
  readonly tls?: ClientOptions['tls'];
}

interface Settings {
  readonly endpoint: string;
  readonly token: string | null;
  readonly tls: GivenSettings['tls'] | null;
}

/** The time and chance of this host. */
export const systemParts = { clock: systemClock, random: systemRandom } as const;

const defaultEndpoint = '127.0.0.1:7070';
let tracing: Promise<void> | null | undefined;

/** The parts of a client that the environment describes; what is given goes first. @throws InvalidArgument */
export function environmentParts(given: GivenSettings): ClientParts {
  const { endpoint } = settings(given, process.env);
  tracing ??= startTracing(process.env);
  const transport = openTransport(given, { env: process.env, keepsProcessAlive: false });
  return { transport, endpoint, ...systemParts, tracing };
}

/** Connections as the environment describes them; what is given goes first. @throws InvalidArgument */
export function openTransport(
  given: GivenSettings,
  { env, keepsProcessAlive }: { readonly env: NodeJS.ProcessEnv; readonly keepsProcessAlive: boolean },
): GrpcTransport {
  const { endpoint, token, tls } = settings(given, env);
  return createGrpcTransport({
    endpoint,
    keepsProcessAlive,
    clock: systemClock,
    ...(token === null ? {} : { token }),
    ...(tls === null ? {} : { tls: pemTexts(tls ?? {}) }),
  });
}

/** What a child that runs the user's module may know of this environment. */
export function scrubbedEnvironment(): Record<string, string> {
  return ownVariables(['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG', 'LC_ALL']);
}

/** Those of these variables that this program has. */
export function ownVariables(names: readonly string[]): Record<string, string> {
  const found = names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  return Object.fromEntries(found);
}

/** Where docker and its kin keep the logins of registries. */
export function dockerFolder(): string {
  return process.env['DOCKER_CONFIG'] || join(homedir(), '.docker');
}

/** Exported for its test: the environment is an argument. */
export function settings(given: GivenSettings, env: NodeJS.ProcessEnv): Settings {
  const dev = given.token === undefined && env['HOLDFAST_TOKEN'] === undefined ? readDevFile(env) : null;
  const named = given.endpoint ?? env['HOLDFAST_ENDPOINT'];
  const { endpoint, isTls } = parseEndpoints(named ?? dev?.endpoint ?? defaultEndpoint);
  // The token of `holdfast dev` is for its own router, not for whatever else is named.
  const devToken = dev !== null && parseEndpoint(dev.endpoint).endpoint === endpoint ? dev.token : null;
  const tls = given.tls ?? environmentTls(env) ?? (isTls ? {} : null);
  return { endpoint, token: given.token ?? env['HOLDFAST_TOKEN'] ?? devToken, tls };
}

function environmentTls(env: NodeJS.ProcessEnv): GivenSettings['tls'] | null {
  const { HOLDFAST_CA: ca, HOLDFAST_CERT: cert, HOLDFAST_KEY: key } = env;
  if (!cert !== !key) {
    const [there, missing] = cert ? ['HOLDFAST_CERT', 'HOLDFAST_KEY'] : ['HOLDFAST_KEY', 'HOLDFAST_CERT'];
    throw new HoldfastError('InvalidArgument', `${there} is set and ${missing} is not: set both, or neither`);
  }
  if (!ca && !cert) return null;
  return { ...(ca ? { ca } : {}), ...(cert && key ? { cert, key } : {}) };
}

/** One or several, separated by commas. @throws InvalidArgument */
function parseEndpoints(text: string): { readonly endpoint: string; readonly isTls: boolean } {
  const endpoints = text.split(',').map((part) => parseEndpoint(part.trim()));
  const isTls = endpoints.some((one) => one.isTls);
  if (isTls && !endpoints.every((one) => one.isTls)) {
    throw new HoldfastError('InvalidArgument', `write https:// before all endpoints or before none, got ${text}`);
  }
  return { endpoint: endpoints.map((one) => one.endpoint).join(','), isTls };
}

/** `host:port`, `http://host:port` or `https://host:port`. @throws InvalidArgument */
function parseEndpoint(text: string): { readonly endpoint: string; readonly isTls: boolean } {
  const url = /^[a-z]+:\/\//i.test(text) ? text : `http://${text}`;
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const isKnown = parsed?.protocol === 'http:' || parsed?.protocol === 'https:';
  if (parsed === null || !isKnown || parsed.hostname === '' || !/^\/?$/.test(parsed.pathname)) {
    throw new HoldfastError('InvalidArgument', `an endpoint must be host:port or a URL, got ${JSON.stringify(text)}`);
  }
  const isTls = parsed.protocol === 'https:';
  return { endpoint: `${parsed.hostname}:${parsed.port || (isTls ? '443' : '7070')}`, isTls };
}

/** What `holdfast dev` has left for programs of the same user; null where it does not run. */
function readDevFile(env: NodeJS.ProcessEnv): { readonly endpoint: string; readonly token: string } | null {
  const folder = env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state');
  const path = join(folder, 'holdfast', 'dev.json');
  if (!existsSync(path)) return null;
  try {
    const { endpoint, token } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    return typeof endpoint === 'string' && typeof token === 'string' ? { endpoint, token } : null;
  } catch {
    return null; // Half written, or another user's: as if it were not there.
  }
}

function pemTexts(tls: NonNullable<GivenSettings['tls']>): { ca?: string; cert?: string; key?: string } {
  const entries = Object.entries(tls).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name, pemText(name, value as string)]));
}

function pemText(name: string, value: string): string {
  if (value.includes('-----BEGIN')) return value;
  try {
    return readFileSync(value, 'utf8');
  } catch (cause) {
    throw new HoldfastError(
      'InvalidArgument',
      `tls.${name} is neither PEM text nor a file that can be read: ${value}`,
      {
        cause,
      },
    );
  }
}

/** Only where OTEL_* asks for it: the SDK of OpenTelemetry takes more than a second to load. */
function startTracing(env: NodeJS.ProcessEnv): Promise<void> | null {
  const isAsked = Object.keys(env).some((name) => name.startsWith('OTEL_'));
  if (!isAsked || env['OTEL_SDK_DISABLED'] === 'true') return null;
  return loadTracing();
}

async function loadTracing(): Promise<void> {
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  const sdk = new NodeSDK();
  sdk.start();
  process.once('beforeExit', () => void sdk.shutdown());
  await initTracing();
}
