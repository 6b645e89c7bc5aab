import { posix } from 'node:path';
import type { Guest } from '../../common/ports/guest.js';
import { checkedEnv, checkedPath } from './call-checks.js';
import type { SessionMemory } from './session-parts.js';

/** Where a session's commands start, and with which variables: it stays from call to call, and while the session sleeps. */
export class SessionEnvironment {
  readonly #guest: Guest;
  #cwd = '/';
  #env: Readonly<Record<string, string>> = {};

  constructor(guest: Guest) {
    this.#guest = guest;
  }

  get cwd(): string {
    return this.#cwd;
  }

  get env(): Readonly<Record<string, string>> {
    return this.#env;
  }

  get memory(): SessionMemory {
    return { cwd: this.#cwd, env: this.#env };
  }

  resume({ cwd, env }: SessionMemory): void {
    this.#cwd = cwd;
    this.#env = env;
  }

  /** A path as the session means it. */
  absolute(path: unknown): string {
    return posix.resolve(this.#cwd, checkedPath(path));
  }

  /** @throws FileNotFound, InvalidArgument where it is not a directory, PermissionDenied */
  async chdir(path: unknown): Promise<string> {
    this.#cwd = await this.#guest.realpath(this.absolute(path), { directory: true });
    return this.#cwd;
  }

  update(values: unknown): Readonly<Record<string, string>> {
    this.#env = { ...this.#env, ...checkedEnv(values) };
    return this.#env;
  }

  unset(names: unknown): Readonly<Record<string, string>> {
    const gone = new Set(Array.isArray(names) ? names : []);
    this.#env = Object.fromEntries(Object.entries(this.#env).filter(([name]) => !gone.has(name)));
    return this.#env;
  }

  /** For one command. */
  with(more: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> {
    return more === undefined ? this.#env : { ...this.#env, ...more };
  }
}
