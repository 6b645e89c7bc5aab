import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { volumeContenders } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import type { VolumePlan, VolumeStep } from '../load/volume-steps.js';
import type { Contender } from '../processes/contender.js';
import { formatNumber, formatSpread } from '../report/format.js';
import {
  type ByteRow,
  type CallRow,
  callRows,
  type Measurement,
  megabytesPerSecond,
  type Row,
  spreadOf,
} from '../report/row.js';
import type { Table } from '../report/table.js';
import { callsOf } from './loads.js';
import type { Bench, Scenario, Settings } from './scenario.js';

const scenario = 'volumes';
const floor = 'plain';
const megabyte = 1_000_000;
const fileBytes = 134_217_728;
const crowd = 'fan-out';
/** A million small files are made first, and 10 GB are read on slow machines. */
const withinMs = 300_000;

type Shown = 'time' | 'rate' | 'number';
type Plan = Pick<VolumePlan, 'times' | 'bytes' | 'count'>;

interface Measured extends Plan {
  readonly step: VolumeStep;
  readonly title: string;
  readonly shown: Shown;
  readonly quick: Partial<Plan>;
  /** Repetitions of what takes long; absent: as many as the settings say. */
  readonly most?: number;
}

function measured(step: VolumeStep, title: string, how: Partial<Measured> & Pick<Measured, 'shown'>): Measured {
  return { step, title, times: 1, bytes: 0, count: 0, quick: {}, ...how };
}

const quickFile = { bytes: 4_194_304, times: 1 };
const quickNames = { times: 20 };

/** What belongs together is measured together, since one step needs what another one leaves. */
const groups: readonly (readonly Measured[])[] = [
  [
    measured('mount-few', 'mount of 10 files', { shown: 'time', times: 30, count: 10, quick: { times: 2 } }),
    measured('mount-many', 'mount of 1 000 000 files', {
      ...{ shown: 'time', times: 30, count: 1_000_000, quick: { times: 2, count: 5_000 } },
    }),
  ],
  [measured('read-cold', 'read, cold', { shown: 'rate', bytes: fileBytes, quick: quickFile, most: 3 })],
  [measured('read-cached', 'read, cached', { shown: 'rate', bytes: fileBytes, times: 3, quick: quickFile })],
  [measured('write', 'write', { shown: 'rate', bytes: fileBytes, quick: quickFile })],
  [measured('write-4k', 'write in pieces of 4 KiB', { shown: 'rate', bytes: fileBytes / 2, quick: quickFile })],
  [measured('commit', 'commit of one changed chunk in 10 GiB', { shown: 'time', times: 5, quick: { times: 1 } })],
  [
    measured('create', 'create a file', { shown: 'number', times: 2_000, quick: quickNames }),
    measured('stat', 'stat of one not seen before', { shown: 'number', times: 2_000, quick: quickNames }),
    measured('unlink', 'unlink', { shown: 'number', times: 2_000, quick: quickNames }),
  ],
  [
    measured(crowd, '20 sandboxes read all of one data set', {
      ...{ shown: 'rate', bytes: 524_288_000, count: 20, quick: { bytes: quickFile.bytes, count: 3 }, most: 2 },
    }),
  ],
];

/** Mounts of a host, with programs that read and write them; beside folders of its disk. */
export const volumes: Scenario = {
  name: scenario,
  title: 'volumes: mounts, reads, writes, commits, names; beside the plain disk',

  async run(bench) {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-volumes-'));
    try {
      await using lineup = await Lineup.open(volumeContenders(folder), bench.signal);
      const rows: Row[] = [];
      for (const group of groups) rows.push(...(await measureGroup(lineup, group, bench)));
      for (const contender of lineup.contenders) await contender.closeVolumes();
      return rows;
    } finally {
      // Where something of it is still mounted, the process of mounts is ending.
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 500 });
    }
  },

  tables(rows) {
    const calls = callsOf(rows);
    const of = (shown: Shown): readonly (readonly [Measured, CallRow])[] =>
      groups
        .flat()
        .filter((step) => step.shown === shown)
        .flatMap((step) => calls.filter(({ target }) => target.endsWith(` ${step.step}`)).map((row) => [step, row]));
    return [timesTable(of('time')), ratesTable(of('rate'), rows), numbersTable(of('number'))];
  },
};

type Found = Map<Contender, Measurement[]>;

/** Each contender in turn; the first repetition, which compiles what the others use, does not count where there are enough. */
async function measureGroup(lineup: Lineup, group: readonly Measured[], { settings, say }: Bench): Promise<Row[]> {
  const most = Math.min(...group.map((step) => step.most ?? Infinity));
  const isFew = most <= settings.repetitions;
  const found = new Map<Measured, Found>(group.map((step) => [step, new Map()]));
  const fetched: number[] = [];
  for (let turn = isFew ? 1 : 0; turn <= Math.min(settings.repetitions, most); turn += 1) {
    for (const contender of lineup.contenders) {
      for (const [step, measurements] of found) {
        say(`${step.title}, ${contender.title}`);
        const { times, bytes, count } = planOf(step, settings);
        const before = step.step === crowd ? await contender.fetchedBytes() : 0;
        const one = await contender.measure('volume', { step: step.step, times, bytes, count, withinMs });
        if (turn > 0) measurements.set(contender, [...(measurements.get(contender) ?? []), one]);
        if (step.step === crowd && contender.name !== floor) fetched.push((await contender.fetchedBytes()) - before);
      }
    }
  }
  const rows: Row[] = [...found].flatMap(([step, of]) => rowsOf(step, of, settings));
  return fetched.length === 0 ? rows : [...rows, bytesOf(fetched, planOf(group[0] as Measured, settings).bytes)];
}

function planOf({ times, bytes, count, quick }: Measured, { isQuick }: Settings): Plan {
  return { times, bytes, count, ...(isQuick ? quick : {}) };
}

function rowsOf(step: Measured, found: Found, settings: Settings): Row[] {
  const targets = [...found].map(([{ name, title }, measurements]) => {
    return [{ name: `${name} ${step.step}`, title, floor: `${floor} ${step.step}` }, measurements] as const;
  });
  const { bytes, count } = planOf(step, settings);
  // What is moved once for each of them, as far as those who read can tell.
  const payloadBytes = step.step === crowd ? bytes * count : bytes;
  return callRows({ scenario, callers: 1, payloadBytes, thinkMs: 0 }, new Map(targets));
}

function bytesOf(fetched: readonly number[], ofBytes: number): ByteRow {
  const head = {
    kind: 'bytes',
    scenario,
    target: 'fetched',
    title: 'taken from the object store for all of them',
  } as const;
  return { ...head, repetitions: fetched.length, bytes: spreadOf(fetched), ofBytes };
}

function timesTable(rows: readonly (readonly [Measured, CallRow])[]): Table {
  return {
    header: ['what', 'target', 'p50 ms', 'p99 ms', 'spread'],
    rows: rows.map(([{ title }, row]) => [
      ...[title, row.title, (row.p50Us.median / 1_000).toFixed(2), (row.p99Us.median / 1_000).toFixed(2)],
      formatSpread(row.p50Us),
    ]),
    notes: [],
  };
}

function ratesTable(rows: readonly (readonly [Measured, CallRow])[], all: readonly Row[]): Table {
  const fetched = all.filter((row) => row.kind === 'bytes');
  const mega = (bytes: number): string => `${formatNumber(bytes / megabyte)} MB`;
  return {
    header: ['what', 'bytes', 'target', 'seconds', 'MB/s', 'spread'],
    rows: rows.map(([{ title }, row]) => [
      ...[title, row.payloadBytes, row.title, (row.p50Us.median / 1_000_000).toFixed(2)],
      ...[formatNumber(megabytesPerSecond(row)), formatSpread(row.p50Us)],
    ]),
    notes: fetched.map(({ title, bytes, ofBytes }) => `Bytes ${title}: ${mega(bytes.median)} of ${mega(ofBytes)}.`),
  };
}

function numbersTable(rows: readonly (readonly [Measured, CallRow])[]): Table {
  return {
    header: ['what', 'target', '/s', 'spread', 'p50 µs', 'p99 µs'],
    rows: rows.map(([{ title }, row]) => [
      ...[title, row.title, row.callsPerSecond.median, formatSpread(row.callsPerSecond)],
      ...[row.p50Us.median, row.p99Us.median],
    ]),
    notes: [],
  };
}
