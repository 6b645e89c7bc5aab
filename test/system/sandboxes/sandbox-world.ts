import {
  App,
  type HoldfastError,
  isHoldfastError,
  type RemoteApp,
  type SandboxSession,
  type SandboxStreamEvent,
} from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll } from 'vitest';

export type SandboxApp = typeof import('../../fixtures/sandbox-app.js');
/** Well below the limit of a test, so that it says what it waited for. */
const inVainMs = 90_000;
const appFile = new URL('../../fixtures/sandbox-app.ts', import.meta.url);

/** A cluster of this test file with the app of sandboxes. */
export interface SandboxWorld {
  readonly cluster: TestCluster;
  readonly app: RemoteApp<SandboxApp>;
}

/** Read its fields in tests: they are there once the first hook has run. */
export function sandboxWorld(options: Partial<Parameters<typeof startCluster>[0]> = {}): SandboxWorld {
  const world: { cluster?: TestCluster; app?: RemoteApp<SandboxApp> } = {};
  beforeAll(async () => {
    world.cluster = await startCluster({ mode: 'embedded', ...options });
    await world.cluster.deploy(appFile);
    world.app = await App.lookup<SandboxApp>('sandboxes', { client: world.cluster.client });
  }, 60_000);
  afterAll(async () => {
    await world.cluster?.close();
  }, 60_000);
  return world as SandboxWorld;
}

/** The error of what must fail. */
export async function errorOf(work: Promise<unknown>): Promise<HoldfastError> {
  const result = await work.catch((e: unknown) => {
    if (isHoldfastError(e)) return e;
    throw e;
  });
  if (isHoldfastError(result)) return result;
  throw new Error(`it was expected to fail, but gave ${JSON.stringify(result)?.slice(0, 500)}`);
}

export async function codeOf(work: Promise<unknown>): Promise<string> {
  return (await errorOf(work)).code;
}

export async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

/** Resolves when a file is there inside: a command that a test waits for has come that far. */
export async function fileIn(session: SandboxSession, path: string): Promise<void> {
  const command = `while [ ! -e ${path} ]; do sleep 0.01; done`;
  await session.exec(command, { shell: true, timeoutMs: 20_000, check: true });
}

export function textOf(events: readonly SandboxStreamEvent[], stream: 'stdout' | 'stderr' = 'stdout'): string {
  return events.map((event) => (event.type === stream ? event.data : '')).join('');
}

export function exitOf(events: readonly SandboxStreamEvent[]): Extract<SandboxStreamEvent, { type: 'exit' }> {
  const last = events.at(-1);
  if (last?.type !== 'exit') throw new Error(`the last event is ${last?.type}`);
  return last;
}

/** Asks the cluster again and again until it is so. @param stands what is there instead, for who waits in vain */
export async function until(holds: () => Promise<boolean>, stands?: () => unknown): Promise<void> {
  const signal = AbortSignal.timeout(inVainMs);
  while (!(await holds())) {
    if (signal.aborted) throw new Error(`not so after ${inVainMs} ms: ${holds}; ${JSON.stringify(stands?.())}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
