import { posix } from 'node:path';
import type { Guest } from '../../common/ports/guest.js';
import { checkedEnv, checkedPath } from './call-checks.js';
import type { SessionMemory } from './session-parts.js';

/** Where a session's commands start, and with which variables: it stays from call to call, and while the session sleeps. */
export class SessionEnvironment {
  readonly #guest: Guest;
  #cwd = '/';
  /** What every command has in this sandbox unless the session says otherwise. */
  #base: Readonly<Record<string, string>> = {};
  #changes: Readonly<Record<string, string>> = {};
  #unset: ReadonlySet<string> = new Set();
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
    return { cwd: this.#cwd, env: this.#changes, unsetEnv: [...this.#unset] };
  }

  begin(base: Readonly<Record<string, string>>, { cwd, env, unsetEnv }: SessionMemory): void {
    this.#cwd = cwd;
    this.#base = base;
    this.#change(env, new Set(unsetEnv));
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
    const set = checkedEnv(values);
    return this.#change({ ...this.#changes, ...set }, new Set([...this.#unset].filter((name) => !(name in set))));
  }

  unset(names: unknown): Readonly<Record<string, string>> {
    const gone = new Set(Array.isArray(names) ? names : []);
    const left = Object.entries(this.#changes).filter(([name]) => !gone.has(name));
    const taken = Object.keys(this.#base).filter((name) => gone.has(name));
    return this.#change(Object.fromEntries(left), new Set([...this.#unset, ...taken]));
  }

  #change(changes: Readonly<Record<string, string>>, unset: ReadonlySet<string>): Readonly<Record<string, string>> {
    this.#changes = changes;
    this.#unset = unset;
    const base = Object.entries(this.#base).filter(([name]) => !unset.has(name));
    this.#env = { ...Object.fromEntries(base), ...changes };
    return this.#env;
  }

  /** For one command. */
  with(more: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> {
    return more === undefined ? this.#env : { ...this.#env, ...more };
  }
}
