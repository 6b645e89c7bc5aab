import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { TestCluster } from 'holdfast/testing';
import type { Receipt } from '../fixtures/ledger-app.js';

export interface LedgerPlan {
  readonly caller: string;
  readonly instances: readonly string[];
  readonly calls: number;
  readonly className?: 'Ledger' | 'Fragile';
  readonly inFlight?: number;
}

export interface LedgerResult {
  readonly caller: string;
  readonly receipts: Readonly<Record<string, readonly (Receipt & { readonly number: number })[]>>;
  readonly errors: readonly {
    readonly id: string;
    readonly number: number;
    readonly code: string;
    readonly outcome: string;
  }[];
}

/** One program of the user's, in a process of its own, against this cluster. */
export class ClientProcess {
  readonly #child: ChildProcess;
  #output = '';
  #errors = '';
  #read = 0;
  #hasClosed = false;
  #changed: (() => void)[] = [];

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
      this.#wake();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    child.on('close', () => {
      this.#hasClosed = true;
      this.#wake();
    });
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  end(text: string): void {
    this.#child.stdin?.end(text);
  }

  /** Resolves at the next line that is `wanted`. */
  async line(wanted: string): Promise<void> {
    if (!(await this.nextLine(wanted))) throw new Error(`client ended without '${wanted}': ${this.#errors}`);
  }

  /** The same; false where it has ended and there is none. */
  async nextLine(wanted: string): Promise<boolean> {
    for (;;) {
      const at = this.#output.indexOf(`${wanted}\n`, this.#read);
      if (at >= 0) {
        this.#read = at + wanted.length + 1;
        return true;
      }
      if (this.#hasClosed) return false;
      await new Promise<void>((resolve) => this.#changed.push(resolve));
    }
  }

  /** What stands behind `start` at the next line that begins with it. */
  async lineAfter(start: string): Promise<string> {
    for (;;) {
      const [, found] = new RegExp(`^${start}(.*)\\n`, 'm').exec(this.#output.slice(this.#read)) ?? [];
      if (found !== undefined) return found;
      if (this.#hasClosed) throw new Error(`client ended without '${start}': ${this.#errors}`);
      await new Promise<void>((resolve) => this.#changed.push(resolve));
    }
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    if (!this.#hasClosed) await once(this.#child, 'close');
  }

  /** All that it printed, once it has ended well. */
  async rest(): Promise<string> {
    if (!this.#hasClosed) await once(this.#child, 'close');
    if (this.#child.exitCode !== 0) throw new Error(`client exited with ${this.#child.exitCode}: ${this.#errors}`);
    return this.#output;
  }

  #wake(): void {
    const changed = this.#changed;
    this.#changed = [];
    for (const resolve of changed) resolve();
  }
}

export function clientProcess(cluster: TestCluster, fixture: string, args: readonly string[] = []): ClientProcess {
  const path = fileURLToPath(new URL(`../fixtures/${fixture}`, import.meta.url));
  const env = { ...process.env, HOLDFAST_ENDPOINT: cluster.endpoint, HOLDFAST_TOKEN: cluster.token };
  return new ClientProcess(spawn(process.execPath, [path, ...args], { env, stdio: 'pipe' }));
}

export async function runLedgerClient(cluster: TestCluster, plan: LedgerPlan): Promise<LedgerResult> {
  const client = clientProcess(cluster, 'ledger-client.mjs');
  client.end(JSON.stringify(plan));
  return JSON.parse(await client.rest()) as LedgerResult;
}
