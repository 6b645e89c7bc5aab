import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom } from '../../adapters/system/clock.js';
import type { IsolationBackend } from '../../common/ports/sandbox.js';
import { TimerWheel } from '../../common/timer-wheel.js';
import { openGuestNetwork } from '../../runtime/outbound/guest-network.js';
import { OutboundProxies } from '../../runtime/outbound/outbound-proxy.js';
import { RefusedAddresses } from '../../runtime/outbound/refused-addresses.js';
import { openCgroups } from '../../runtime/process/cgroups.js';
import { openGuest } from '../../runtime/sandbox/guest-client.js';
import type { SandboxPlatform } from '../../runtime/sandbox/sandbox-factory.js';
import { guestProgramPath } from './guest-program.js';
import { createIsolation, sweepDeadBoots } from './isolation.js';

const agentPath = '/run/holdfast/agent';
const wheelTickMs = 1_000;
/** Of all sandboxes of this process. */
const wheel = new TimerWheel(systemClock, wheelTickMs);

/** What runs sandboxes on this host. @throws SandboxUnavailable where the agent was not built */
export function sandboxPlatform(backend: IsolationBackend, outbound: OutboundProxies): SandboxPlatform {
  return {
    backend,
    agent: { argv: [agentPath], binds: [{ source: guestProgramPath(), target: agentPath }] },
    openGuest: (socket) => openGuest(socket, wheel),
    openNetwork: (guest, policy) => openGuestNetwork(guest, policy.outbound, outbound),
  };
}

let local: Promise<SandboxPlatform> | null = null;

/** For sessions of this process, without a worker. @throws SandboxUnavailable, saying what to install */
export function openLocalPlatform(): Promise<SandboxPlatform> {
  local ??= openLocal().catch((e: unknown) => {
    // What was missing may be there next time.
    local = null;
    throw e;
  });
  return local;
}

async function openLocal(): Promise<SandboxPlatform> {
  const bootId = `local-${Buffer.from(systemRandom.bytes(8)).toString('hex')}`;
  const dataFolder = join(tmpdir(), 'holdfast-local');
  // Nobody watches this process: its sandboxes die with it, and what is left on the disk goes at the next start.
  const watchdog = { guard: () => Promise.resolve(), release: () => undefined };
  const backend = createIsolation({ bootId, dataFolder, cgroups: openCgroups({ bootId }), watchdog });
  await sweepDeadBoots(dataFolder);
  await backend.check();
  const refused = new RefusedAddresses(systemClock, () => []);
  return sandboxPlatform(backend, new OutboundProxies({ clock: systemClock, refused }));
}
