import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withReport, writeReport } from '../../bench/report/document.js';
import { readPeers } from '../../bench/report/peers.js';
import { plotSvg } from '../../bench/report/plot.js';
import { type CallRow, type MemoryRow, type Row, spreadOf } from '../../bench/report/row.js';
import { type Run, readRuns, writeRun } from '../../bench/report/run-file.js';
import { tableMarkdown, tableText } from '../../bench/report/table.js';
import { callTable, cpuTable } from '../../bench/report/tables.js';
import { judge, type Verdict, verdictTable } from '../../bench/report/verdicts.js';

const floor = 'tcp-container';

function callRow(
  target: string,
  more: Partial<CallRow> & { readonly rate?: number; readonly p50?: number } = {},
): CallRow {
  const { rate = 1_000, p50 = 100, ...rest } = more;
  return {
    ...{ kind: 'calls', scenario: 'warm', target, title: target, floor, callers: 64, payloadBytes: 100, thinkMs: 0 },
    ...{ repetitions: 1, calls: 1_000, cpuPer100k: { client: 1 }, otherCores: spreadOf([0]) },
    ...{ callsPerSecond: spreadOf([rate]), p50Us: spreadOf([p50]), p99Us: spreadOf([p50 * 2]) },
    ...rest,
  };
}

function memoryRow(bytesEach: number): MemoryRow {
  return {
    ...{
      kind: 'memory',
      scenario: 'memory',
      target: 'dense',
      title: 'idle',
      count: 100_000,
      bytesEach,
      repetitions: 5,
    },
    ...{ bytesEachByStep: spreadOf([bytesEach]), bytesEachByRole: { worker: bytesEach } },
  };
}

function verdictOf(rows: readonly Row[], figure: string, peers: readonly CallRow[] | null = null): Verdict | undefined {
  return judge(rows, peers).find((verdict) => verdict.figure === figure && verdict.result !== 'open');
}

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('a table', () => {
  it('shows each row beside its own floor under the same load', () => {
    const rows = [
      callRow(floor, { rate: 4_000, p50: 50 }),
      callRow('holdfast', { rate: 1_000, p50: 75 }),
      callRow(floor, { callers: 256, rate: 8_000 }),
      callRow('many', { floor: 'tcp-many', rate: 600 }),
      callRow('tcp-many', { floor: 'tcp-many', rate: 2_400 }),
    ];
    const cells = callTable(rows).rows.map((row) => row.slice(-2));
    expect(cells).toEqual([
      ['1.00', '1.00'],
      ['0.25', '1.50'],
      ['1.00', '1.00'],
      ['0.25', '1.00'],
      ['1.00', '1.00'],
    ]);
  });

  it('splits CPU by process and leaves out processes that took none', () => {
    const rows = [
      callRow(floor, { cpuPer100k: { client: 0.2, server: 0.1 } }),
      callRow('holdfast', { cpuPer100k: { client: 0.5, worker: 0.4, nats: 0.001 } }),
    ];
    const { header, rows: cells } = cpuTable(rows);
    expect(header).toEqual(['CPU s / 100 000 calls', 'client', 'server', 'worker', 'all', 'to floor']);
    expect(cells[1]).toEqual(['holdfast', '0.50', null, '0.40', '0.90', '3.00']);
  });

  it('says what other programs did only where it was much', () => {
    expect(callTable([callRow('holdfast')]).notes).toEqual([]);
    const disturbed = callTable([callRow('holdfast', { otherCores: { median: 0.5, min: 0, max: 1.5 } })]);
    expect(disturbed.notes).toEqual(['Other programs kept 0.50 cores busy meanwhile, at most 1.50.']);
  });

  it('is the same as text and as Markdown, with numbers at the right', () => {
    const table = {
      header: ['what', 'rate'],
      rows: [['one', 12_345] as const, ['two', 0.5] as const],
      notes: ['a note'],
    };
    expect(tableText(table)).toBe('what    rate\n----  ------\none   12 345\ntwo      0.5\na note');
    expect(tableMarkdown(table)).toBe('| what | rate |\n| --- | ---: |\n| one | 12 345 |\n| two | 0.5 |\n\na note');
  });
});

describe('a table with the floor of the path', () => {
  it('shows every median beside it', () => {
    const rows = [callRow(floor, { p50: 50 }), callRow('path', { p50: 100 }), callRow('holdfast', { p50: 150 })];
    const { header, rows: cells } = callTable(rows);
    expect(header.at(-1)).toBe('to path');
    expect(cells.map((row) => row.at(-1))).toEqual(['0.50', '1.00', '1.50']);
    expect(callTable(rows.slice(0, 1)).header).not.toContain('to path');
  });
});

describe('a verdict', () => {
  const figure = 'CPU per call, 64 callers';
  const against = (cpu: number): Row[] => [callRow(floor), callRow('holdfast', { cpuPer100k: { client: cpu } })];

  it('is the best of aim, bar and neither', () => {
    expect(verdictOf(against(1.9), figure)).toMatchObject({ value: 1.9, result: 'aim' });
    expect(verdictOf(against(2), figure)).toMatchObject({ value: 2, result: 'aim' });
    expect(verdictOf(against(2.9), figure)).toMatchObject({ value: 2.9, result: 'bar' });
    expect(verdictOf(against(3.1), figure)).toMatchObject({
      measured: '31 µs',
      against: 'floor, 10 µs',
      result: 'missed',
    });
  });

  it('is open where nothing was measured', () => {
    expect(judge([], []).map(({ result }) => result)).not.toContain('missed');
    expect(judge([], null).every(({ result, value }) => result === 'open' && value === null)).toBe(true);
    expect(judge([callRow('holdfast', { callers: 1 })], null)[0]).toMatchObject({
      against: 'peers: give --peers FILE',
    });
  });

  it('compares with the peer that does best in that figure, under the same load', () => {
    const ours = [callRow('holdfast', { callers: 1, p50: 100 }), callRow('holdfast', { rate: 60_000 })];
    const peers = [
      callRow('fast', { callers: 1, p50: 200, rate: 1 }),
      callRow('slow', { callers: 1, p50: 400, rate: 2 }),
      callRow('fast', { rate: 10_000 }),
      callRow('slow', { rate: 30_000 }),
      callRow('elsewhere', { callers: 16, p50: 1, rate: 1e9 }),
    ];
    expect(verdictOf(ours, 'warm call p50, 1 caller, cores awake', peers)).toMatchObject({
      value: 0.5,
      against: 'fast, 200 µs',
    });
    expect(verdictOf(ours, 'warm calls/s, 64 callers', peers)).toMatchObject({ value: 2, result: 'bar' });
  });

  it('takes the product as it was measured beside the peers, and neither it nor its floor as one of them', () => {
    const file = join(folder, 'peers.json');
    const beside = [
      callRow(floor, { callers: 1, p50: 1 }),
      callRow('holdfast', { callers: 1, p50: 90 }),
      callRow('workerd', { callers: 1, p50: 300 }),
    ];
    writeFileSync(file, JSON.stringify({ rows: beside }));
    const alone = callRow('holdfast', { callers: 1, p50: 20 });
    const found = judge([alone], readPeers(file)).find(
      ({ figure }) => figure === 'warm call p50, 1 caller, cores awake',
    );
    expect(found).toMatchObject({ value: 0.3, measured: '90 µs', against: 'workerd, 300 µs' });
  });

  it('says what the same messages with nothing in them came to, by the same measure', () => {
    const load = { scenario: 'cold-names', callers: 8 };
    const ours = [callRow('holdfast', { ...load, rate: 1_000 }), callRow('path', { ...load, rate: 1_500 })];
    // Measured on another machine, perhaps: only the ratio of ours to theirs is known there.
    const peers = [callRow('holdfast', { ...load, rate: 2_000 }), callRow('workerd', { ...load, rate: 4_000 })];
    expect(verdictOf(ours, 'cold names/s, packed, 8 callers', peers)).toMatchObject({ value: 0.5, path: 0.75 });

    const besideThem = [...peers, callRow('path', { ...load, rate: 4_400 })];
    expect(verdictOf(ours, 'cold names/s, packed, 8 callers', besideThem)).toMatchObject({ value: 0.5, path: 1.1 });

    const first = [callRow('holdfast', { scenario: 'first-call', callers: 1, p50: 8_000 })];
    const least = callRow('path', { scenario: 'first-call', callers: 1, p50: 4_000 });
    expect(verdictOf(first, 'first call, own container, p50')).not.toHaveProperty('path');
    expect(verdictOf([...first, least], 'first call, own container, p50')).toMatchObject({ value: 8, path: 4 });
    const text = tableText(verdictTable(judge([...first, least], null)));
    expect(text).toMatch(/path floor/);
    expect(text).toMatch(/first call, own container, p50 .* 4\.00 ms .* missed/);
  });

  it('compares cold names with workerd alone', () => {
    const ours = callRow('holdfast', { scenario: 'cold-names', callers: 8, rate: 3_000 });
    const peers = [
      callRow('other', { scenario: 'cold-names', callers: 8, rate: 9_000 }),
      callRow('workerd', { scenario: 'cold-names', callers: 8, rate: 6_000 }),
    ];
    const missed = { value: 0.5, against: 'workerd, 6 000 /s', result: 'missed' };
    expect(verdictOf([ours], 'cold names/s, packed, 8 callers', peers)).toMatchObject(missed);
  });

  it('judges new names and first calls soon after a start, too', () => {
    const early = { scenario: 'cold-names-early', callers: 8 };
    const ours = [
      callRow('holdfast', { ...early, rate: 2_000 }),
      callRow('holdfast', { scenario: 'first-call-early', callers: 1, p50: 9_000 }),
    ];
    const peers = [callRow('workerd', { ...early, rate: 4_000 })];
    expect(verdictOf(ours, 'cold names/s, soon after a start', peers)).toMatchObject({ value: 0.5, result: 'missed' });
    expect(verdictOf(ours, 'cold names/s, packed, 8 callers', peers)).toBeUndefined();
    expect(verdictOf(ours, 'first call, soon after a start, p50')).toMatchObject({ value: 9, result: 'missed' });
  });

  it('takes the path of the product for no peer', () => {
    const beside = ['holdfast', 'moleculer', 'path'].map((target, at) =>
      callRow(target, { callers: 64, rate: at + 1 }),
    );
    expect(verdictOf([], 'warm calls/s, 64 callers', beside)).toMatchObject({ against: 'moleculer, 2 /s' });
  });

  it('holds the bytes that were moved against those that there are', () => {
    const row = { kind: 'bytes', scenario: 'volumes', target: 'fetched', title: 'fetched', repetitions: 2 } as const;
    const verdict = verdictOf(
      [{ ...row, bytes: spreadOf([1_050e6]), ofBytes: 1_000e6 }],
      'fetched for 20 sandboxes, to what is read',
    );
    expect(verdict).toMatchObject({ value: 1.05, measured: '1 050 MB', against: '1 000 MB', result: 'missed' });
  });

  it('tells the worst of what a sandbox does to calls beside it, with as many callers', () => {
    const beside = { scenario: 'neighbours', floor: 'idle' };
    const p99Us = (us: number) => ({ p99Us: spreadOf([us]) });
    const rows = [1, 16].flatMap((callers) => [
      callRow('idle', { ...beside, callers, floor: null, ...p99Us(callers * 1_000) }),
      callRow('loops', { ...beside, callers, ...p99Us(callers * 1_500) }),
      callRow('bomb', { ...beside, callers, ...p99Us(callers === 1 ? 1_000 : 40_000) }),
    ]);
    expect(verdictOf(rows, 'warm call p99 beside the worst sandbox')).toMatchObject({
      ...{ value: 2.5, measured: '40 ms, bomb, 16 callers', against: 'idle, 16 ms', result: 'missed' },
    });
    expect(verdictOf(rows.slice(0, 3), 'warm call p99 beside the worst sandbox')).toMatchObject({ value: 1.5 });
  });

  it('holds steps of sandboxes on cores that are awake and on idle ones against the same bar', () => {
    const rows = ['sandboxes', 'sandboxes-idle'].flatMap((scenario) => [
      callRow('bare exec', { scenario, floor: 'bare exec', p50: 1_000 }),
      callRow('holdfast exec', { scenario, floor: 'bare exec', p50: scenario === 'sandboxes' ? 1_500 : 2_500 }),
    ]);
    const [awake, idle] = ['awake', 'idle'].map((how) => verdictOf(rows, `exec in a live sandbox, p50, cores ${how}`));
    expect(awake).toMatchObject({ value: 1.5, result: 'bar' });
    expect(idle).toMatchObject({ value: 2.5, against: 'bare, 1 ms', result: 'missed' });
  });

  it('holds what has no ratio against its own unit', () => {
    expect(verdictOf([memoryRow(900)], 'memory, idle packed instance')).toMatchObject({ value: 0.9, result: 'aim' });
    const first = callRow('holdfast', { scenario: 'first-call', p50: 4_400 });
    expect(verdictOf([first], 'first call, own container, p50')).toMatchObject({ value: 4.4, result: 'bar' });
  });

  it('compares a load with the same load where something is doubled', () => {
    const rows = [64, 128].map((count) =>
      callRow(`shared-${count}`, { scenario: 'instances', cpuPer100k: { client: count === 64 ? 1 : 1.25 } }),
    );
    expect(verdictOf(rows, 'CPU per call, 64 → 128 instances')).toMatchObject({ value: 1.25, result: 'missed' });
  });
});

describe('a report', () => {
  const rows: readonly CallRow[] = [1, 64].flatMap((callers) => [
    callRow(floor, { callers }),
    callRow('holdfast', { callers }),
  ]);
  const run: Run = {
    startedAt: '2026-11-22T06:00:00.000Z',
    machine: { processor: 'x', cores: 2, memoryGiB: 24, system: 'linux', versions: { node: '20' }, loadBefore: 0 },
    settings: { repetitions: 5, seconds: 1, warmupCalls: 25_000, warmupNames: 25_000, isQuick: false },
    rows,
  };
  const report = { run, verdicts: judge(rows, null), peers: null };

  it('replaces what is between its markers, and nothing else', () => {
    const docs = join(folder, 'docs');
    writeReport(docs, report);
    const first = readFileSync(join(docs, 'performance.md'), 'utf8');
    writeFileSync(join(docs, 'performance.md'), `by hand\n${first}by hand too\n`);
    writeReport(docs, report);
    expect(readFileSync(join(docs, 'performance.md'), 'utf8')).toBe(`by hand\n${first}by hand too\n`);
    expect(first).toContain('| 64 | holdfast | 1 000 |');
    expect(first).toContain('1 repetitions of 1 s');
    expect(readFileSync(join(docs, 'performance.svg'), 'utf8')).toContain('</svg>');
  });

  it('refuses a document without its markers', () => {
    expect(() => withReport('# Performance\n', 'x')).toThrow(/must have these two lines/);
  });

  it('finds its markers in the document of this project', () => {
    const document = readFileSync(join(import.meta.dirname, '../../docs/performance.md'), 'utf8');
    expect(withReport(document, 'x')).toContain('\n\nx\n\n');
  });

  it('is made of several runs, the later one of a scenario wins', () => {
    const [early, late] = [join(folder, 'early.json'), join(folder, 'late.json')];
    writeRun(early, { ...run, rows: [callRow('a'), callRow('b', { scenario: 'growth' })], verdicts: [] });
    writeRun(late, { ...run, rows: [callRow('c')], verdicts: [] });
    expect(readRuns([early, late]).rows).toMatchObject([{ target: 'c' }, { target: 'b' }]);
  });

  it('takes the figures of peers, and says what is wrong with others', () => {
    const file = join(folder, 'peers.json');
    writeFileSync(file, JSON.stringify({ rows: [callRow('workerd'), memoryRow(1)] }));
    expect(readPeers(file)).toMatchObject([{ target: 'workerd' }]);
    writeFileSync(file, JSON.stringify({ rows: [callRow('workerd'), { kind: 'calls', target: 'restate' }] }));
    expect(() => readPeers(file)).toThrow(/needs rows with .*"restate"/);
    writeFileSync(file, JSON.stringify({ machine: {} }));
    expect(() => readPeers(file)).toThrow("has no 'rows'");
  });

  it('draws one line for each target in both panels, with every point inside', () => {
    const svg = plotSvg([...rows, callRow('peer <1>', { callers: 1, rate: 3, p50: 123_456 })]);
    expect(svg.match(/<polyline/g)).toHaveLength(6);
    expect(svg).toContain('peer &lt;1>');
    expect(svg).toContain('prefers-color-scheme: dark');
    const points = [...svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)] as const);
    expect(points).toHaveLength(10);
    expect(points.every(([x, y]) => x >= 70 && x <= 840 && y >= 44 && y <= 300)).toBe(true);
  });
});
