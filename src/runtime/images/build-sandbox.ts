import type { Duplex } from 'node:stream';
import type { Random } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { Guest } from '../../common/ports/guest.js';
import type { IsolatedBind, IsolationBackend, Scratch } from '../../common/ports/sandbox.js';
import type { NetworkPolicy } from '../../common/session-options.js';

/** What runs the programs of a step. */
export interface BuildHost {
  /** Bubblewrap's, whatever sandboxes have: root inside is what its filter pretends. */
  readonly backend: IsolationBackend;
  readonly agent: { readonly argv: readonly [string, ...string[]]; readonly binds: readonly IsolatedBind[] };
  readonly openGuest: (socket: Duplex) => Promise<Guest>;
  readonly openNetwork: (guest: Guest, policy: NetworkPolicy) => Promise<Readonly<Record<string, string>>>;
  readonly random: Random;
}

const limits = { memoryMb: 4_096, cpu: 2, pids: 4_096 };
const idBytes = 10;

export function newBuildId(random: Random): string {
  return `b${Buffer.from(random.bytes(idBytes)).toString('hex')}`;
}

/**
 * Runs `work` in a sandbox of its own on these files; nothing of it but the files is left when it settles.
 *
 * @throws OutOfMemory, Unavailable, SandboxUnavailable, and what the work throws
 */
export async function inBuildSandbox(
  host: BuildHost,
  scratch: Scratch,
  work: (guest: Guest) => Promise<void>,
): Promise<void> {
  const { backend, agent, openGuest, random } = host;
  const process = await backend.start({
    ...{ id: newBuildId(random), argv: agent.argv, env: {}, isPid1: true, yields: true, isBuilder: true },
    ...{ scratch, binds: agent.binds, limits },
  });
  try {
    const guest = await openGuest(process.socket);
    try {
      await work(guest);
    } finally {
      guest.close();
    }
  } catch (e) {
    if (process.outOfMemoryKills() === 0) throw e;
    const { memoryMb } = limits;
    throw new HoldfastError('OutOfMemory', `it used more than the ${memoryMb} MB that a step may`, { cause: e });
  } finally {
    await process.remove();
  }
}

/** A program that a step needs is not there: says what brings it. */
export function lacking(e: unknown, program: string, remedy: string): unknown {
  if (!isHoldfastError(e, 'FileNotFound') || 'sha256' in e.details) return e;
  return new HoldfastError('CommandFailed', `there is no ${program} to run: ${remedy}`, { cause: e });
}
