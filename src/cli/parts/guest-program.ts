import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { HoldfastError } from '../../common/errors.js';
import type { IsolatedBind } from '../../common/ports/sandbox.js';

/** The agent that becomes process 1 of a sandbox, for this machine's processor. @throws SandboxUnavailable where it was not built */
export function guestProgramPath(): string {
  const path = fileURLToPath(new URL(`../../../dist/guest/holdfast-guest-${process.arch}`, import.meta.url));
  if (existsSync(path)) return path;
  const why = `there is no guest agent for ${process.platform} on ${process.arch}: install gcc and libc6-dev and build the package`;
  throw new HoldfastError('SandboxUnavailable', `sandboxes cannot run here, ${why} with npm run build`);
}

/** Where containers find what they call as `holdfast`; the folder is the first in the PATH of sessions. */
const volumeToolPath = '/run/holdfast/bin/holdfast';

/** What a container with volumes sees for commits and reloads; nothing where it was not built. */
export function volumeToolBinds(): IsolatedBind[] {
  const source = fileURLToPath(new URL(`../../../dist/volume-tool/holdfast-volume-${process.arch}`, import.meta.url));
  return existsSync(source) ? [{ source, target: volumeToolPath }] : [];
}
