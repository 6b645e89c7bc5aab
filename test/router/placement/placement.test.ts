import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Random } from '../../../src/common/clock.js';
import type { BootId, WorkerId } from '../../../src/common/ids.js';
import type { ClassOptions, PlacementConstraints } from '../../../src/common/manifest.js';
import { offerMismatches } from '../../../src/router/placement/offer.js';
import { type Candidate, choosePlacement, type Demand } from '../../../src/router/placement/placement.js';
import { classManifest } from '../bus-worker.js';

const label = 'shop/Counter@1';

function candidate(workerId: string, changes: Partial<Candidate> = {}): Candidate {
  return {
    workerId: workerId as WorkerId,
    bootId: `boot-${workerId}` as BootId,
    address: 'host:1',
    state: 'ready',
    isFresh: true,
    isolation: 'process',
    sandboxIsolation: 'process',
    sandboxLack: '',
    containers: 0,
    maxContainers: 10,
    sandboxes: 0,
    maxSandboxes: 0,
    cpuCores: 8,
    freeMemoryMb: 16_384,
    freeGpus: 0,
    rooms: new Map(),
    offer: {},
    recentFiles: new Set(),
    ...changes,
  };
}

function demand(options: Partial<ClassOptions> = {}, refused: Demand['refused'] = new Map()): Demand {
  const { options: all } = classManifest('Counter', options);
  return { kind: 'class', options: all, label, home: null, local: null, files: [], refused };
}

function seeded(seed: number): Random {
  let state = seed;
  return {
    next: () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    },
    bytes: (count) => new Uint8Array(count),
  };
}

function choose(wanted: Demand, candidates: readonly Candidate[], seed = 1) {
  return choosePlacement(wanted, candidates, seeded(seed));
}

describe('why a worker is rejected', () => {
  const cases: readonly [string, Demand, Partial<Candidate>, string][] = [
    ['it drains', demand(), { state: 'draining' }, 'is draining'],
    ['it is silent', demand(), { isFresh: false }, 'silent: no heartbeat for 3 s'],
    ['it has no container left', demand(), { containers: 10 }, 'full: 10 of 10 containers'],
    ['it has too little cpu', demand({ cpu: 9 }), {}, 'cpu: has 8 cores, needs 9'],
    ['it has too little memory', demand({ memoryMb: 20_000 }), {}, 'memory: 16384 MB free, needs 20000'],
    [
      'it isolates too little',
      demand({ isolation: 'gvisor' }),
      { isolation: 'bubblewrap' },
      'isolation: gives bubblewrap, needs gvisor; a worker with --isolation gvisor does',
    ],
    [
      'it has no walls for an image',
      demand({ image: 'an-image' }),
      {},
      'isolation: gives process, needs bubblewrap for its image',
    ],
    [
      'it has walls for files, and none for a class without',
      demand({ isolation: 'bubblewrap' }),
      { sandboxIsolation: 'bubblewrap' },
      'isolation: gives process, needs bubblewrap',
    ],
    [
      'its GPUs are taken',
      demand({ placement: { gpu: 'H100', gpuCount: 2 } }),
      { offer: { gpu: 'H100', gpuCount: 4 }, freeGpus: 1 },
      'gpus: 1 of 4 free, needs 2',
    ],
    [
      'its one GPU is taken',
      demand({ placement: { minVramGb: 24 } }),
      { offer: { gpu: 'L4', vramGb: 24 } },
      'gpus: 0 of 1 free, needs 1',
    ],
    ['it refused a moment ago', demand({}, new Map([['boot-a' as BootId, 'no disk']])), {}, 'refused: no disk'],
    [
      'its offer lacks a field',
      demand({ placement: { minVramGb: 24 } }),
      {},
      'vramGb: not in its offer, needs at least 24',
    ],
  ];
  it.each(cases)('because %s', (...[_why, wanted, changes, reason]) => {
    const decision = choose(wanted, [candidate('a', changes)]);
    expect(decision).toEqual({ chosen: null, rejected: [{ workerId: 'a', why: reason }] });
  });

  it('but not one that has walls for sandboxes, for a class with files', () => {
    for (const isolation of [null, 'process', 'bubblewrap'] as const) {
      const decision = choose(demand({ image: 'an-image', isolation }), [
        candidate('a', { sandboxIsolation: 'gvisor' }),
      ]);
      expect(decision.chosen?.workerId).toBe('a');
    }
  });

  it('names every worker', () => {
    const decision = choose(demand(), [candidate('a', { state: 'draining' }), candidate('b', { containers: 10 })]);
    expect(decision.chosen).toBeNull();
    expect('rejected' in decision && decision.rejected.map(({ workerId }) => workerId)).toEqual(['a', 'b']);
  });
});

describe('every placement option reads its field of the offer', () => {
  const cases: readonly [PlacementConstraints, Record<string, unknown>, Record<string, unknown>][] = [
    [{ gpu: 'H100' }, { gpu: 'H100' }, { gpu: 'A100' }],
    [{ gpu: ['H100', 'A100'] }, { gpu: 'A100' }, { gpu: 'L4' }],
    [{ gpu: 'H100' }, { gpu: ['L4', 'H100'] }, { gpu: ['L4'] }],
    [{ gpuCount: 2 }, { gpuCount: 2 }, { gpuCount: 1 }],
    [{ minVramGb: 24 }, { vramGb: 24 }, { vramGb: 23.9 }],
    [{ geolocation: 'DE' }, { geolocation: 'DE' }, { geolocation: 'FR' }],
    [{ geolocation: ['DE', 'FR'] }, { geolocation: 'FR' }, { geolocation: 'US' }],
    [{ maxCostPerHourUsd: 2 }, { costPerHourUsd: 2 }, { costPerHourUsd: 2.01 }],
    [{ maxCostPerTflopHourUsd: 0.1 }, { costPerTflopHourUsd: 0.05 }, { costPerTflopHourUsd: 0.2 }],
    [{ minTotalFlops: 100 }, { totalFlops: 100 }, { totalFlops: 99 }],
    [{ minGpuRamBandwidthGbps: 900 }, { gpuRamBandwidthGbps: 1_000 }, { gpuRamBandwidthGbps: 800 }],
    [{ minCpuCores: 4 }, { cpuCores: 4 }, { cpuCores: 3 }],
    [{ minCpuRamGb: 16 }, { cpuRamGb: 32 }, { cpuRamGb: 8 }],
    [{ minCpuGhz: 3 }, { cpuGhz: 3.1 }, { cpuGhz: 2.9 }],
    [{ minDiskBandwidthMbS: 500 }, { diskBandwidthMbS: 500 }, { diskBandwidthMbS: 499 }],
    [{ minInternetUploadMbps: 10 }, { internetUploadMbps: 10 }, { internetUploadMbps: 9 }],
    [{ minInternetDownloadMbps: 10 }, { internetDownloadMbps: 10 }, { internetDownloadMbps: 9 }],
    [{ secureCloudOnly: true }, { secureCloud: true }, { secureCloud: false }],
    [{ diskGb: 100 }, { diskGb: 100 }, { diskGb: 99 }],
    [{ offerFilters: { rack: 'a' } }, { rack: 'a' }, { rack: 'b' }],
    [{ offerFilters: { rack: ['a', 3] } }, { rack: 3 }, { rack: '3' }],
    [{ offerFilters: { score: { min: 1, max: 2 } } }, { score: 1.5 }, { score: 2.5 }],
    [{ offerFilters: { spot: false } }, { spot: false }, { spot: true }],
    [{ offerFilters: { score: { min: 1 } } }, { score: 1 }, { score: 'high' }],
  ];
  it.each(cases)('%j takes %j and not %j', (constraints, fits, doesNot) => {
    expect(offerMismatches(constraints, fits)).toEqual([]);
    expect(offerMismatches(constraints, doesNot)).toHaveLength(1);
    expect(offerMismatches(constraints, {})).toHaveLength(1);
  });

  it('asks for nothing by `secureCloudOnly: false`', () => {
    expect(offerMismatches({ secureCloudOnly: false }, {})).toEqual([]);
  });

  it('takes no field from the prototype of the offer', () => {
    expect(offerMismatches({ offerFilters: { constructor: { min: 0 }, toString: 'x' } }, {})).toHaveLength(2);
  });
});

describe('the worker that is chosen', () => {
  it('is one with room in a container that runs, however loaded it is', () => {
    const packed = candidate('packed', { containers: 10, cpuCores: 0, freeMemoryMb: 0, rooms: new Map([[label, 1]]) });
    const decision = choose(demand(), [candidate('empty'), packed]);
    expect(decision).toMatchObject({ chosen: { workerId: 'packed' }, usesRoom: true });
  });

  it('is else the one with the largest share free', () => {
    const half = candidate('half', { containers: 5 });
    const large = candidate('large', { containers: 20, maxContainers: 100 });
    expect(choose(demand(), [half, large]).chosen?.workerId).toBe('large');
  });

  it('is one that has the files, until it is fuller by half of its places than one without', () => {
    const wanted = { ...demand(), files: ['image 0123456789ab', 'volume set'] };
    const recentFiles = new Set(['volume set', 'image 0123456789ab', 'volume other']);
    const has = (containers: number) => candidate('has', { containers, recentFiles });
    const decision = choose(wanted, [candidate('empty'), has(4)]);
    expect(decision).toMatchObject({ chosen: { workerId: 'has' }, note: { kept: wanted.files } });
    expect(choose(wanted, [candidate('empty'), has(6)])).toMatchObject({
      chosen: { workerId: 'empty' },
      note: { chosen: 'empty', score: 1, rejected: [] },
    });
    // Of what it has only what is wanted counts, and more is better.
    const half = candidate('half', { recentFiles: new Set(['volume set', 'volume another']) });
    expect(choose(wanted, [half, has(2)]).chosen?.workerId).toBe('has');
    expect(choose(wanted, [half, has(3)]).chosen?.workerId).toBe('half');
    expect(choose({ ...wanted, files: [] }, [candidate('empty'), has(1)]).chosen?.workerId).toBe('empty');
  });

  it('always satisfies the demand, and none is better, whatever the fleet', () => {
    const anyCandidate = fc.record({
      isFresh: fc.boolean(),
      state: fc.constantFrom('ready', 'draining'),
      containers: fc.integer({ min: 0, max: 12 }),
      cpuCores: fc.integer({ min: 0, max: 4 }),
      freeMemoryMb: fc.integer({ min: 0, max: 4_096 }),
      hasRoom: fc.boolean(),
      vramGb: fc.integer({ min: 0, max: 48 }),
    });
    fc.assert(
      fc.property(fc.array(anyCandidate, { maxLength: 12 }), fc.integer(), (fleet, seed) => {
        const candidates = fleet.map(({ hasRoom, vramGb, ...rest }, i) =>
          candidate(`w${i}`, { ...rest, freeGpus: 1, offer: { vramGb }, rooms: new Map(hasRoom ? [[label, 1]] : []) }),
        );
        const fits = (one: Candidate) =>
          one.isFresh &&
          one.state === 'ready' &&
          Number(one.offer['vramGb']) >= 16 &&
          (one.rooms.size > 0 || (one.containers < 10 && one.cpuCores >= 2 && one.freeMemoryMb >= 1_024));
        const score = (one: Candidate) => one.rooms.size * 100 + (10 - Math.min(10, one.containers));
        const decision = choose(demand({ cpu: 2, placement: { minVramGb: 16 } }), candidates, seed);
        const fitting = candidates.filter(fits);
        if (decision.chosen === null) {
          expect(fitting).toEqual([]);
          expect(decision.rejected).toHaveLength(candidates.length);
          return;
        }
        expect(fitting).toContain(decision.chosen);
        expect(score(decision.chosen)).toBe(Math.max(...fitting.map(score)));
      }),
    );
  });
});
