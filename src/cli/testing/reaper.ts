import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Its standard input ends when the program that started the cluster is gone, however it went. Watchdogs outlive the workers
 * that are killed here until their containers are dead and their leases released, so the store goes after them.
 */
const script = `
end() { for file in "$1"*; do kill -KILL "\${file##*-}"; done 2>/dev/null; }
while read -r line; do :; done
end "$1/pids/part-"
sleep 2
end "$1/pids/server-"
rm -rf "$1"
`;

/** Routers and workers, and what they stand on. */
export type ReapedKind = 'part' | 'server';

/**
 * Ends what a crashed program would leave of its cluster: a shell that waits for the end of its parent, kills the processes
 * that are noted below the cluster's folder, stopped ones too, and removes the folder.
 */
export class Reaper {
  readonly #shell: ChildProcess;
  readonly #pids: string;

  constructor(folder: string) {
    this.#pids = join(folder, 'pids');
    mkdirSync(this.#pids);
    // In a session of its own: it must survive the Ctrl-C that ends its parent.
    this.#shell = spawn('/bin/sh', ['-c', script, 'holdfast-reaper', folder], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#shell.on('error', () => undefined); // no shell: a crash leaves processes behind, all else works
    this.#shell.stdin?.on('error', () => undefined); // nothing is ever written
  }

  /** Until the returned function is called, which must be when the process has ended. */
  add(kind: ReapedKind, pid: number): () => void {
    const note = join(this.#pids, `${kind}-${pid}`);
    writeFileSync(note, '');
    return () => rmSync(note, { force: true });
  }

  /** Nothing is left to reap. */
  async dismiss(): Promise<void> {
    if (this.#shell.pid === undefined || this.#shell.exitCode !== null || this.#shell.signalCode !== null) return;
    const gone = once(this.#shell, 'exit');
    this.#shell.kill('SIGKILL');
    await gone;
  }
}
