import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** Where the running `holdfast dev` is: what other terminals need to talk to it. */
export interface DevState {
  readonly endpoint: string;
  readonly token: string;
}

/** The folder of everything that Holdfast remembers for a user of this machine. */
export function stateFolder(env: NodeJS.ProcessEnv): string {
  return join(env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'holdfast');
}

/** Null where no `holdfast dev` left one, or it cannot be read. */
export function readDevState(env: NodeJS.ProcessEnv): DevState | null {
  try {
    const { endpoint, token } = JSON.parse(readFileSync(stateFile(env), 'utf8'));
    return typeof endpoint === 'string' && typeof token === 'string' ? { endpoint, token } : null;
  } catch {
    return null; // Not there, or half a file of a full disk: as if nothing ran.
  }
}

/** Readable by its owner only: it holds a token. The newest `holdfast dev` is the one that others find. */
export function writeDevState(env: NodeJS.ProcessEnv, state: DevState): void {
  const file = stateFile(env);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(state)}\n`, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, file);
}

/** Removes the file, unless another `holdfast dev` has written it since. */
export function removeDevState(env: NodeJS.ProcessEnv, state: DevState): void {
  if (readDevState(env)?.token === state.token) rmSync(stateFile(env), { force: true });
}

function stateFile(env: NodeJS.ProcessEnv): string {
  return join(stateFolder(env), 'dev.json');
}
