import { join } from 'node:path';
import { Clocks } from './clocks.js';
import { Hosts } from './hosts.js';
import { Proc } from './processes.js';
import { Tampers } from './tampers.js';

/** What a world stands on. */
export interface Ground {
  /** Each process in a network namespace of its own, by its name. */
  readonly hosts?: boolean;
  /** Wall clocks that can be set, of each process, by its name. */
  readonly clocks?: boolean;
  /** Connections through this process, which can break them at any byte. */
  readonly tampers?: boolean;
}

/** Where the processes of a world run, and what can be done to what is between them. */
export class Site {
  readonly folder: string;
  readonly hosts: Hosts | null;
  readonly clocks: Clocks | null;
  readonly tampers: Tampers | null;
  readonly procs: Proc[] = [];

  constructor(folder: string, { hosts = false, clocks = false, tampers = false }: Ground) {
    this.folder = folder;
    this.clocks = clocks ? new Clocks(folder) : null;
    this.tampers = tampers ? new Tampers() : null;
    this.hosts = hosts ? new Hosts() : null;
  }

  /** A place for a process of that name. Gives its IP address. */
  place(name: string): string {
    return this.hosts?.add(name) ?? '127.0.0.1';
  }

  /** At its place. */
  async start(
    name: string,
    what: { readonly command: readonly string[]; readonly env?: NodeJS.ProcessEnv; readonly ready: RegExp },
  ): Promise<Proc> {
    const { ready } = what;
    const command = this.hosts?.on(name, what.command) ?? what.command;
    const env = { ...process.env, ...what.env, ...this.clocks?.envOf(name) };
    const proc = await Proc.start(name, { command, ready, env });
    this.procs.push(proc);
    return proc;
  }

  fileOf(name: string): string {
    return join(this.folder, name);
  }

  async close(): Promise<void> {
    await Promise.all(this.procs.toReversed().map((proc) => proc.kill()));
    this.tampers?.close();
    this.hosts?.close();
  }
}
