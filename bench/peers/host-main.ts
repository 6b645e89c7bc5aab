import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { followParent, tellParent } from '../processes/parent.js';
import type { Role } from '../processes/process-tree.js';

/**
 * Starts a peer and stays until the benchmark ends, also when that is killed; programs that the peer needs and their folder
 * go with it. Its user code runs here, unless the peer has a program of its own for that. Argument: the module of the peer.
 */
export interface StartedPeer {
  readonly address: string;
  readonly processes: readonly (readonly [pid: number, role: Role])[];
}

followParent();
const folder = mkdtempSync(join(tmpdir(), 'holdfast-peer-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 }));
try {
  const { serve } = (await import(process.argv[2] ?? '')) as { serve(folder: string): Promise<StartedPeer> };
  const started = await serve(folder);
  tellParent({ started });
} catch (error) {
  tellParent({ error: error instanceof Error ? error.message : String(error) });
}
