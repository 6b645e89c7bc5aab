import type { Guest } from '../../common/ports/guest.js';
import type { Outbound } from './outbound-policy.js';
import type { OutboundProxies } from './outbound-proxy.js';
import { proxyVariables } from './proxy-variables.js';

/**
 * A way out for the programs of a sandbox, as far as the policy says, until its guest ends.
 *
 * @returns the variables that tell programs how; none where there is no way out
 * @throws InvalidArgument, Unavailable
 */
export async function openGuestNetwork(
  guest: Guest,
  outbound: Outbound,
  proxies: OutboundProxies,
): Promise<Readonly<Record<string, string>>> {
  if (outbound === 'none') return {};
  const proxy = proxies.open(outbound);
  void guest.closed.then(() => proxy.close());
  const { port } = await guest.listen(0, (connection) => proxy.accept(connection));
  return proxyVariables(port);
}
