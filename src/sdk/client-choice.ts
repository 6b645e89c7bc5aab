import { HoldfastError } from '../common/errors.js';
import { Client, coreOf } from './client.js';
import type { ClientCore } from './client-core.js';
import { currentPlace } from './container-state.js';
import type { ClientChoice } from './infos.js';

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
