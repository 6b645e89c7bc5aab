import { describe, expect, it } from 'vitest';
import { type Reservation, WorkerLoad } from '../../../src/router/placement/worker-load.js';
import { classManifest } from '../bus-worker.js';

const label = 'shop/Counter@1';
const empty = { containers: 0, sandboxes: 0, cpuCores: 4, freeMemoryMb: 8_192, freeGpus: 0, openPlaces: {} };

function reservation(at: number, changes: { tasksPerContainer?: number; usesRoom?: boolean } = {}): Reservation {
  const { tasksPerContainer = 1, usesRoom = false } = changes;
  return { at, label, kind: 'class', usesRoom, options: classManifest('Counter', { tasksPerContainer }).options };
}

function stateOf({ containers, cpuCores, freeMemoryMb, rooms }: WorkerLoad) {
  return { containers, cpuCores, freeMemoryMb, rooms: rooms.get(label) ?? 0 };
}

describe('what a worker still has room for', () => {
  it('is its heartbeat less what was placed since', () => {
    const load = new WorkerLoad();
    load.report(empty, 0);
    load.reserve(reservation(0));
    expect(stateOf(load)).toEqual({ containers: 1, cpuCores: 4, freeMemoryMb: 8_192, rooms: 0 });
  });

  it('counts a placement once the heartbeat tells of it, and not twice', () => {
    const load = new WorkerLoad();
    load.report(empty, 0);
    load.reserve(reservation(0));
    load.report(empty, 100);
    expect(load.containers).toBe(1);
    load.report({ ...empty, containers: 1 }, 1_000);
    expect(load.containers).toBe(1);
  });

  it('has rooms in a container that is about to start, until they are taken', () => {
    const load = new WorkerLoad();
    load.report(empty, 0);
    load.reserve(reservation(0, { tasksPerContainer: 3 }));
    expect(stateOf(load)).toMatchObject({ containers: 1, rooms: 2 });
    load.reserve(reservation(0, { tasksPerContainer: 3, usesRoom: true }));
    load.reserve(reservation(0, { tasksPerContainer: 3, usesRoom: true }));
    expect(stateOf(load)).toMatchObject({ containers: 1, rooms: 0 });
  });

  it('comes back when the worker refuses, also after a heartbeat', () => {
    const load = new WorkerLoad();
    load.report(empty, 0);
    const refused = reservation(0);
    load.reserve(refused);
    load.release(refused);
    load.release(refused);
    expect(stateOf(load)).toEqual({ containers: 0, cpuCores: 4, freeMemoryMb: 8_192, rooms: 0 });
    const late = reservation(0);
    load.reserve(late);
    load.report(empty, 1_000);
    load.release(late);
    expect(load.containers).toBe(0);
  });
});
