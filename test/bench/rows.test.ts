import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Latencies, type LoadSample, mergeSamples } from '../../bench/load/latencies.js';
import { parseProportionalBytes } from '../../bench/processes/process-memory.js';
import { type Measurement, memoryRow, spreadOf, summarise } from '../../bench/report/row.js';

const head = {
  ...{ scenario: 'warm', target: 'holdfast', title: 'Holdfast', floor: null },
  ...{ callers: 1, payloadBytes: 100, thinkMs: 0 },
};

function measurement(calls: number, seconds: number, more: Partial<Measurement> = {}): Measurement {
  return { calls, seconds, p50Us: 10, p99Us: 20, maxUs: 30, cpuSeconds: {}, otherCores: 0, ...more };
}

function sampleOf(times: readonly number[]): LoadSample {
  const latencies = new Latencies();
  for (const us of times) latencies.record(us);
  return latencies.sample(1);
}

describe('a row', () => {
  it('has the middle repetition as its median, and between two middle ones what is between them', () => {
    expect(spreadOf([30, 10, 20])).toEqual({ median: 20, min: 10, max: 30 });
    expect(spreadOf([40, 10, 20, 30])).toEqual({ median: 25, min: 10, max: 40 });
  });

  it('takes the rate of each repetition for itself, and the CPU of all of them together', () => {
    const row = summarise(head, [
      measurement(1_000, 1, { cpuSeconds: { client: 0.02, worker: 0.01 } }),
      measurement(3_000, 1, { cpuSeconds: { client: 0.04 } }),
      measurement(4_000, 2, { cpuSeconds: { client: 0.02, worker: 0.03 } }),
    ]);
    expect(row.callsPerSecond).toEqual({ median: 2_000, min: 1_000, max: 3_000 });
    expect(row.calls).toBe(8_000);
    expect(row.cpuPer100k['client']).toBeCloseTo(1);
    expect(row.cpuPer100k['worker']).toBeCloseTo(0.5);
  });

  it('divides the memory that was added by the number of what was made, by process and by step', () => {
    const row = memoryRow(
      { scenario: 'memory', target: 'dense', title: 'idle' },
      {
        count: 200,
        seen: [
          { worker: 1_000, redis: 500 },
          { worker: 2_000, redis: 700 },
          { worker: 5_000, redis: 900 },
        ],
      },
    );
    expect(row.bytesEach).toBe(22);
    expect(row.bytesEachByRole).toEqual({ worker: 20, redis: 2 });
    expect(row.bytesEachByStep).toEqual({ median: 22, min: 12, max: 32 });
  });

  it('reads the proportional share of a process, and of nothing else', () => {
    expect(parseProportionalBytes('Rss: 900 kB\nPss:       20 kB\nPss_Anon:  7 kB\n')).toBe(20_480);
    expect(parseProportionalBytes('')).toBe(0);
  });
});

describe('latencies', () => {
  const times = fc.array(fc.double({ min: 2, max: 1e7, noNaN: true }), { minLength: 1, maxLength: 200 });

  it('give quantiles that are right to 1 %, whatever was recorded', () => {
    fc.assert(
      fc.property(times, (all) => {
        const { calls, p50Us, maxUs } = mergeSamples([sampleOf(all)]);
        const sorted = [...all].sort((a, b) => a - b);
        const exact = sorted[Math.ceil(all.length / 2) - 1] ?? 0;
        expect(calls).toBe(all.length);
        expect(maxUs).toBe(sorted.at(-1));
        expect(Math.abs(p50Us / exact - 1)).toBeLessThan(0.011);
      }),
    );
  });

  it('of several load generators are those of one that did it all', () => {
    fc.assert(
      fc.property(times, times, (some, others) => {
        expect(mergeSamples([sampleOf(some), sampleOf(others)])).toEqual(
          mergeSamples([sampleOf([...some, ...others])]),
        );
      }),
    );
  });
});
