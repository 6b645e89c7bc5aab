import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * It is told of processes on its standard input, `+part 12` and later `-part 12`. The input ends when the program that started
 * the cluster is gone, however it went. Watchdogs outlive the workers that are killed here until their containers are dead and
 * their leases released, so the servers go after them.
 */
const script = `
without() { left=; for pid in $1; do [ "$pid" = "$2" ] || left="$left $pid"; done; }
while read -r what pid; do
  case "$what" in
    +part) parts="$parts $pid" ;;
    -part) without "$parts" "$pid"; parts=$left ;;
    +server) servers="$servers $pid" ;;
    -server) without "$servers" "$pid"; servers=$left ;;
  esac
done
[ -n "$parts" ] && kill -KILL $parts
sleep 2
[ -n "$servers" ] && kill -KILL $servers
grep -qsF " $1/" /proc/self/mountinfo || rm -rf "$1"
`;

/** Routers and workers, and what they stand on. */
export type ReapedKind = 'part' | 'server';

/**
 * Ends what a crashed program would leave of its cluster: a shell that waits for the end of its parent, kills the processes
 * that it was told of, stopped ones too, and removes the cluster's folder, unless something is mounted in it still.
 */
export class Reaper {
  readonly #shell: ChildProcess;

  constructor(folder: string) {
    // In a session of its own: it must survive the Ctrl-C that ends its parent.
    this.#shell = spawn('/bin/sh', ['-c', script, 'holdfast-reaper', folder], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#shell.on('error', () => undefined); // no shell: a crash leaves processes behind, all else works
    this.#shell.stdin?.on('error', () => undefined); // somebody killed it: the same
  }

  /** Null where there is no shell. */
  get pid(): number | null {
    return this.#shell.pid ?? null;
  }

  /** Until the returned function is called, which must be when the process has ended. */
  add(kind: ReapedKind, pid: number): () => void {
    this.#shell.stdin?.write(`+${kind} ${pid}\n`);
    return () => void this.#shell.stdin?.write(`-${kind} ${pid}\n`);
  }

  /** Nothing is left to reap. */
  async dismiss(): Promise<void> {
    if (this.pid === null || this.#shell.exitCode !== null || this.#shell.signalCode !== null) return;
    const gone = once(this.#shell, 'exit');
    this.#shell.kill('SIGKILL');
    await gone;
  }
}
