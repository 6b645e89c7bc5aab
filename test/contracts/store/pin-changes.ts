import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { type BootId, type Identity, instanceKey, type WorkerId } from '../../../src/common/ids.js';
import { type Pin, type PinChange, type PinChangeResult, pinChange } from '../../../src/common/pin.js';
import type { Store } from '../../../src/common/ports/store.js';

/** An identity that no other test uses. */
export function identity(part: Partial<Identity> = {}): Identity {
  return { account: 'a', app: 'app', className: 'Counter', id: randomUUID(), ...part };
}

/** A first activation of `who`. */
export function creation(who: Identity, set: Partial<PinChange['fields']> = {}): PinChange {
  const { generation: _generation, epoch: _epoch, opId: _opId, transitions, ...fields } = draft(who);
  return {
    expect: 'none',
    opId: randomUUID(),
    epoch: 'next',
    generation: 'epoch',
    fields: { ...fields, ...set },
    transitions,
    ttlMs: null,
  };
}

/** What a pin looks like before it is made. */
export function draft(who: Identity): Pin {
  const atMs = Date.now();
  return {
    identity: who,
    generation: 1,
    epoch: 1,
    state: 'placing',
    workerId: 'worker-1' as WorkerId,
    bootId: randomUUID() as string as BootId,
    address: '10.0.0.1:7000',
    deployment: 4,
    args: new Uint8Array([0, 145, 7]),
    kind: 'class',
    tags: [],
    argsHash: 'hash',
    onLoss: 'fail',
    opId: 'op',
    createdAtMs: atMs,
    restarts: 0,
    restarted: false,
    isBrought: false,
    placement: { chosen: 'worker-1', score: 0.5, rejected: [{ workerId: 'worker-2', why: 'full' }] },
    transitions: [{ atMs, from: 'none', to: 'placing', why: 'first call' }],
  };
}

/** A pin that was just made. */
export async function made(store: Store): Promise<Pin> {
  const who = identity();
  return applied(await store.pins.change(instanceKey(who), creation(who)));
}

/** The step of a pin to a state. */
export function next(pin: Pin, to: Pin['state'], nextEpoch = false): PinChange {
  return pinChange(pin, to, {
    opId: randomUUID(),
    why: 'test',
    atMs: Date.now(),
    ...(nextEpoch ? { epoch: 'next' } : {}),
  });
}

/** The change that leaves a tombstone. */
export function closing(pin: Pin): PinChange {
  return next(pin, 'closed');
}

/** The change that makes a closed id again. */
export function remaking(closed: Pin): PinChange {
  const { expect: _expect, ...change } = creation(closed.identity, { createdAtMs: closed.createdAtMs + 1 });
  return { ...change, expect: { generation: closed.generation, epoch: closed.epoch, state: 'closed' } };
}

/** The pin of a change that must have been applied. */
export function applied(result: PinChangeResult): Pin {
  expect(result.applied).toBe(true);
  return result.pin as Pin;
}

/** The store tells nobody when a time is over: ask until it is. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    if (await isSo()) return;
    await delay(10);
  }
  throw new Error('still not so after 5 s');
}
