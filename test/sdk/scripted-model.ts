import { afterEach, beforeEach } from 'vitest';
import { Cls, HoldfastError, isHoldfastError } from '../../src/sdk/index.js';
import { encodeError } from '../../src/wire/errors.js';
import './scripted-app.js';
import type { Model } from './scripted-app.js';
import { ScriptedCluster } from './scripted-cluster.js';
import { echo, type ScriptedWorker } from './scripted-worker.js';

/** Fresh for each test of the file that imports them; the worker answers what it is asked until a test says otherwise. */
export let cluster: ScriptedCluster;
export let worker: ScriptedWorker;

beforeEach(() => {
  cluster = new ScriptedCluster();
  worker = cluster.place.worker;
  worker.onCall = echo;
});

afterEach(async () => {
  await cluster.client.close();
});

export async function model(id = 'm') {
  const cls = await Cls.fromName<typeof Model>('scripted', 'Model', { client: cluster.client });
  return await cls.named(id);
}

/** `code outcome` of what it failed with, or `none`. */
export async function outcome(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'none',
    (e: unknown) => (isHoldfastError(e) ? `${e.code} ${e.outcome}` : String(e)),
  );
}

/** A router's answer. */
export function errorReply(code: 'InstanceGone' | 'InstanceConflict') {
  return { $case: 'error', value: Buffer.from(encodeError(new HoldfastError(code, `scripted ${code}`))) } as const;
}

/** One turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
