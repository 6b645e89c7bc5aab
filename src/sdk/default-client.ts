import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom } from '../adapters/system/clock.js';
import { HoldfastError } from '../common/errors.js';
import { createGrpcTransport } from '../wire/grpc-transport.js';
import { initTracing } from '../wire/tracing.js';
import type { ClientParts } from './client-core.js';

/** What `new Client()` was given. */
export interface GivenSettings {
  readonly endpoint?: string;
  readonly token?: string;
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
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
  const { endpoint, token, tls } = settings(given, process.env);
  tracing ??= startTracing(process.env);
  return {
    transport: createGrpcTransport({
      endpoint,
      keepsProcessAlive: false,
      ...(token === null ? {} : { token }),
      ...(tls === null ? {} : { tls: pemTexts(tls ?? {}) }),
    }),
    endpoint,
    ...systemParts,
    tracing,
  };
}

/** What a child that runs the user's module may know of this environment. */
export function scrubbedEnvironment(): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG', 'LC_ALL'];
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

/** Exported for its test: the environment is an argument. */
export function settings(given: GivenSettings, env: NodeJS.ProcessEnv): Settings {
  const dev = given.token === undefined && env['HOLDFAST_TOKEN'] === undefined ? readDevFile(env) : null;
  const named = given.endpoint ?? env['HOLDFAST_ENDPOINT'];
  const { endpoint, isTls } = parseEndpoint(named ?? dev?.endpoint ?? defaultEndpoint);
  // The token of `holdfast dev` is for its own router, not for whatever else is named.
  const devToken = dev !== null && parseEndpoint(dev.endpoint).endpoint === endpoint ? dev.token : null;
  const ca = env['HOLDFAST_CA'];
  const tls = given.tls ?? (ca === undefined ? (isTls ? {} : null) : { ca });
  return { endpoint, token: given.token ?? env['HOLDFAST_TOKEN'] ?? devToken, tls };
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
