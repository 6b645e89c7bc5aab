import { checkOptions } from '../common/check-options.js';
import type { Check } from '../common/option-checks.js';
import {
  ListAppsReply,
  ListAppsRequest,
  ListWorkersReply,
  ListWorkersRequest,
} from '../wire/gen/holdfast/v1/router.js';
import { type CallLimits, Limits, limitChecks } from './calls/call-limits.js';
import { environmentParts } from './default-client.js';
import type { WorkerInfo } from './infos.js';
import { ClientCore, type ClientParts } from './sessions/client-core.js';

/** Where the router is and who is asking. */
export interface ClientOptions {
  /**
   * `host:port`, or a URL; `https` means TLS. Several routers are separated by commas: the next is taken where one cannot
   * be reached. Default: HOLDFAST_ENDPOINT, else `127.0.0.1:7070`.
   */
  readonly endpoint?: string;
  /** Default: HOLDFAST_TOKEN, else the one of `holdfast dev` on this machine. */
  readonly token?: string;
  /** PEM texts, or paths of PEM files. Default: HOLDFAST_CA, HOLDFAST_CERT and HOLDFAST_KEY. */
  readonly tls?: {
    readonly ca?: string | undefined;
    readonly cert?: string | undefined;
    readonly key?: string | undefined;
  };
}

// Only this package sees inside of a client, or makes one on parts of its own.
let readCore: (client: Client) => ClientCore;
let pendingCore: ClientCore | null = null;

const text: Check = (value) => (typeof value === 'string' && value !== '' ? null : 'a text with something in it');
const clientChecks = {
  endpoint: text,
  token: text,
  tls: (value: unknown) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(value).every(
      ([name, pem]) => ['ca', 'cert', 'key'].includes(name) && (pem === undefined || typeof pem === 'string'),
    )
      ? null
      : '{ ca, cert, key }, texts or paths of PEM files',
} as const satisfies Readonly<Record<keyof ClientOptions, Check>>;

/** Connections to one cluster. Idle ones do not keep the process alive. */
export class Client {
  readonly #core: ClientCore;

  /** Connects when it is first used. @throws InvalidArgument */
  constructor(options: ClientOptions = {}) {
    checkOptions('a client', options, clientChecks);
    this.#core = pendingCore ?? new ClientCore(environmentParts(options));
  }

  /** Calls that are under way fail with `Cancelled`. Idempotent. */
  async close(): Promise<void> {
    await this.#core.shut();
  }

  /** @throws Unavailable */
  async workers(options: CallLimits = {}): Promise<WorkerInfo[]> {
    const question = { request: {}, of: ListWorkersRequest, reply: ListWorkersReply };
    const { workers } = await this.#core.ask('ListWorkers', question, this.#limits('workers', options));
    return workers.map(({ id, state, instances, containers, offerJson, leaseAgeMs }) => ({
      id,
      state: state as WorkerInfo['state'],
      instances,
      containers,
      offer: JSON.parse(offerJson || '{}') as WorkerInfo['offer'],
      leaseAgeMs,
    }));
  }

  /** @throws Unavailable */
  async apps(
    options: CallLimits = {},
  ): Promise<{ readonly name: string; readonly deployment: number; readonly resources: readonly string[] }[]> {
    const question = { request: {}, of: ListAppsRequest, reply: ListAppsReply };
    const { apps } = await this.#core.ask('ListApps', question, this.#limits('apps', options));
    return apps.map(({ name, deployment, resources }) => ({ name, deployment, resources }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #limits(what: string, options: CallLimits): Limits | undefined {
    checkOptions(what, options, limitChecks);
    return Limits.of(this.#core.clock, what, options);
  }

  static {
    readCore = (client) => client.#core;
  }
}

export function coreOf(client: Client): ClientCore {
  return readCore(client);
}

/** A client on another transport than gRPC: inside a container, or in a test. */
export function clientWith(parts: ClientParts): Client {
  pendingCore = new ClientCore(parts);
  try {
    return new Client();
  } finally {
    pendingCore = null;
  }
}
