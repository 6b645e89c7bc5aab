import { checkOptions } from '../common/check-options.js';
import { HoldfastError } from '../common/errors.js';
import { type Check, isPlainObject } from '../common/option-checks.js';
import { type CallLimits, Limits, limitChecks } from './calls/call-limits.js';
import { currentPlace } from './classes/container-state.js';
import { Client, coreOf } from './client.js';
import type { ClientChoice } from './infos.js';
import type { ClientCore } from './sessions/client-core.js';

let defaultClient: Client | null = null;
const byBaseUrl = new Map<string, Client>();

/** The client that an operation goes through: the one given, that of a base URL, or the default. @throws InvalidArgument */
export function chooseClient({ client, baseUrl }: ClientChoice = {}): ClientCore {
  if (currentPlace() === 'describing') {
    throw new HoldfastError(
      'Unavailable',
      'a module that is being deployed must not talk to the cluster while it loads; do that in methods, or in another module',
    );
  }
  if (client !== undefined) return coreOf(client);
  if (baseUrl === undefined) {
    defaultClient ??= new Client();
    return coreOf(defaultClient);
  }
  const known = byBaseUrl.get(baseUrl) ?? new Client({ endpoint: baseUrl });
  byBaseUrl.set(baseUrl, known);
  return coreOf(known);
}

/** From here on this one is the default: inside a container. */
export function setDefaultClient(client: Client): void {
  defaultClient = client;
}

/** Of every function that takes a client. */
export const choiceChecks = {
  client: (value: unknown) => (value instanceof Client ? null : 'a Client of this package'),
  baseUrl: (value: unknown) => (typeof value === 'string' && value !== '' ? null : 'the URL of a router'),
} as const satisfies Readonly<Record<keyof ClientChoice, Check>>;

/**
 * As `checkOptions`; but what is no literal may have more than options: a cluster of `holdfast/testing` is taken for its client.
 *
 * @throws InvalidArgument
 */
export function checkChoice(what: string, options: object, checks: Readonly<Record<string, Check>>): void {
  const isWider = typeof options === 'object' && options !== null && !Array.isArray(options) && !isPlainObject(options);
  const known = (): object => Object.fromEntries(Object.keys(checks).map((name) => [name, Reflect.get(options, name)]));
  checkOptions(what, isWider ? known() : options, checks);
}

/** What one operation is given: through which client, and how long its caller waits. */
export type CallChoice = ClientChoice & CallLimits;

/**
 * The client of one operation, and its limits.
 *
 * @param what the operation, for messages
 * @param checks of its other options
 * @throws InvalidArgument, Cancelled
 */
export function chosen(
  what: string,
  options: CallChoice,
  checks: Readonly<Record<string, Check>> = {},
): { readonly client: ClientCore; readonly limits: Limits | undefined } {
  checkChoice(what, options, { ...choiceChecks, ...limitChecks, ...checks });
  const client = chooseClient(options);
  return { client, limits: Limits.of(client.clock, what, options) };
}
