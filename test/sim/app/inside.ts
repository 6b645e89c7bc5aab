import { type Client, coreOf } from '../../../src/sdk/client.js';
import type { SimProcess } from '../engine/sim-process.js';
import type { Timeline } from '../engine/timeline.js';
import type { History } from '../history/history.js';
import type { Register } from './register.js';

/** Chances of what goes wrong with code and not with machines. */
export interface CodeTrouble {
  /** Of an `enter` hook. */
  throws: number;
  hangs: number;
  /** Of a container. */
  failedStarts: number;
  /** Of a method that ends its process: answers that it wrote in the same turn never leave. */
  crashes: number;
}

/** What the code of an app meets outside of itself. */
export interface Outside {
  readonly timeline: Timeline;
  readonly history: History;
  readonly register: Register;
  readonly trouble: CodeTrouble;
}

let world: Outside | null = null;
const clients = new WeakMap<SimProcess, Client>();

/** One world runs at a time in a process of Node. */
export function setOutside(outside: Outside | null): void {
  world = outside;
}

export function outside(): Outside {
  if (world === null) throw new Error('no world runs now');
  return world;
}

/** The SDK of a container speaks through its worker (C12). */
export function setInside(process: SimProcess, client: Client): void {
  clients.set(process, client);
  process.onDeath(() => coreOf(client).keepAlive.close());
}

/** Of the container whose code runs. */
export function clientInside(): Client {
  const client = clients.get(outside().timeline.current);
  if (client === undefined) throw new Error('this process is no container');
  return client;
}
