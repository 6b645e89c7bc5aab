import { formatNumber, formatUs } from './format.js';
import { cpuOf, findRow, floorOf, pathOf, pathTarget, type RowChoice } from './ratio.js';
import { type ByteRow, type CallRow, type MemoryRow, megabytesPerSecond } from './row.js';

/** What the runtime must reach. */
export interface Criterion extends Bounds {
  readonly figure: string;
  /** Text: why there is nothing to judge. */
  find(found: Found): Finding | string;
}

export interface Bounds {
  readonly sense: 'atMost' | 'atLeast';
  /** Null: there is only an aim. */
  readonly bar: number | null;
  /** Null: there is only a bar. */
  readonly aim: number | null;
  /** Of bar, aim and value; empty: they are multiples. */
  readonly unit: string;
}

/** What there is to look at. */
export interface Found {
  readonly calls: readonly CallRow[];
  readonly memory: readonly MemoryRow[];
  readonly bytes: readonly ByteRow[];
  /** Null: no figures of peers were given. */
  readonly peers: readonly CallRow[] | null;
}

export interface Finding {
  /** What is held against bar and aim. */
  readonly value: number;
  readonly measured: string;
  readonly against: string;
  /** The value of whoever sends the same messages and does nothing else; absent: nobody was measured so. */
  readonly path?: number;
}

/** Of one row: what is compared, and how it is shown. */
interface Figure<R> {
  readonly better: 'less' | 'more';
  of(row: R): number;
  show(row: R): string;
}

const product = 'holdfast';
const notMeasured = 'not measured';
const noPeers = 'peers: give --peers FILE';
const oneMiB = 1_048_576;
/** Seconds for 100 000 calls, of one. */
const usPerCall = 10;
const lonely = { scenario: 'warm', callers: 1 };
const lonelyOnIdleCores = { scenario: 'idle-cores', callers: 1 };
const resolving = { scenario: 'resolve', callers: 1 };
const instances = { scenario: 'instances', callers: 64 };
const growing = { scenario: 'growth', callers: 256 };
const crowd = { scenario: 'memory', callers: 64 };

const rate: Figure<CallRow> = {
  better: 'more',
  of: (row) => row.callsPerSecond.median,
  show: (row) => `${formatNumber(row.callsPerSecond.median)} /s`,
};
const p50: Figure<CallRow> = {
  better: 'less',
  of: (row) => row.p50Us.median,
  show: (row) => formatUs(row.p50Us.median),
};
const p99: Figure<CallRow> = {
  better: 'less',
  of: (row) => row.p99Us.median,
  show: (row) => formatUs(row.p99Us.median),
};
const cpu: Figure<CallRow> = { better: 'less', of: cpuOf, show: (row) => formatUs(cpuOf(row) * usPerCall) };

export const criteria: readonly Criterion[] = [
  criterion('warm call p50, 1 caller, cores awake', atMost(0.85, 0.6), besidePeer(lonely, p50)),
  criterion('warm call p50, 1 caller, cores idle', atMost(0.85, 0.6), besidePeer(lonelyOnIdleCores, p50)),
  criterion('warm call p50, 1 caller, cores awake', atMost(1.8, 1.2), besideFloor(lonely, p50)),
  criterion('warm call p50, 1 caller, cores idle', atMost(1.8, 1.2), besideFloor(lonelyOnIdleCores, p50)),
  criterion('warm calls/s, 64 callers', atLeast(1.5, 2.5), besidePeer({ scenario: 'warm', callers: 64 }, rate)),
  criterion('warm calls/s, 256 callers', atLeast(1.5, 2.5), besidePeer({ scenario: 'warm', callers: 256 }, rate)),
  criterion('CPU per call, 64 callers', atMost(3, 2), besideFloor({ scenario: 'warm', callers: 64 }, cpu)),
  criterion(
    'calls/s of 1 MiB both ways',
    atLeast(null, 0.7),
    besideFloor({ scenario: 'payloads', payloadBytes: oneMiB }, rate),
  ),
  criterion('cold names/s, packed, 8 callers', atLeast(1, 2), besidePeer({ scenario: 'cold-names' }, rate, 'workerd')),
  criterion(
    'cold names/s, soon after a start',
    atLeast(1, 2),
    besidePeer({ scenario: 'cold-names-early' }, rate, 'workerd'),
  ),
  criterion('first call, own container, p50', atMost(5, 2, ' ms'), firstCall('first-call')),
  criterion('first call, soon after a start, p50', atMost(5, 2, ' ms'), firstCall('first-call-early')),
  criterion('memory, idle packed instance', atMost(4, 1, ' kB'), ({ memory }) => {
    const row = memory.find((each) => each.scenario === 'memory');
    if (row === undefined) return notMeasured;
    const measured = `${formatNumber(row.bytesEach)} B`;
    return { value: row.bytesEach / 1_000, measured, against: `${formatNumber(row.count)} of them` };
  }),
  // The aim is "the same"; figures that differ by less than this are.
  criterion('resolve p50, 1 000 → 1 000 000', atMost(1.2, 1.05), grown(resolving, ['pins-1000', 'pins-1000000'], p50)),
  criterion('CPU per call, 64 → 128 instances', atMost(1.1, null), grown(instances, ['shared-64', 'shared-128'], cpu)),
  criterion('CPU per call, 1 → 2 workers', atMost(1.1, null), grown(growing, ['workers-1', 'workers-2'], cpu)),
  criterion('CPU per call, 2 → 4 workers', atMost(1.1, null), grown(growing, ['workers-2', 'workers-4'], cpu)),
  criterion(
    'the same, 1 → 2, with twice the callers',
    atMost(1.1, null),
    withTwiceTheCallers('workers-1', 'workers-2'),
  ),
  criterion(
    'the same, 2 → 4, with twice the callers',
    atMost(1.1, null),
    withTwiceTheCallers('workers-2', 'workers-4'),
  ),
  criterion('CPU per call, 128 → 256 callers', atMost(1.1, null), withTwiceTheCallers('workers-1', 'workers-1')),
  criterion('CPU per call, 0 → 100 000 idle', atMost(1.1, null), grown(crowd, [product, 'crowded'], cpu)),
  ...sandboxStep('sandbox create → exec, pool, p50', atMost(15, 5, ' ms'), { find: stepTime, step: 'create' }),
  ...sandboxStep('sandbox create → exec, cold, p50', atMost(50, 15, ' ms'), { find: stepTime, step: 'create-cold' }),
  ...sandboxStep('exec in a live sandbox, p50', atMost(2, 0.7, ' ms'), { find: stepTime, step: 'exec' }),
  criterion('warm call p99 beside the worst sandbox', atMost(2, null), ({ calls }) => {
    const found = calls.flatMap((row) => {
      const idle = row.scenario === 'neighbours' ? floorOf(row, calls) : undefined;
      return idle === undefined ? [] : [{ ...compared(row, idle, { figure: p99 }), row }];
    });
    const [worst] = found.sort((a, b) => b.value - a.value);
    if (worst === undefined) return notMeasured;
    const { row, ...finding } = worst;
    const callers = `${row.callers} ${row.callers === 1 ? 'caller' : 'callers'}`;
    return {
      ...finding,
      measured: `${finding.measured}, ${row.title}, ${callers}`,
      against: `idle, ${finding.against}`,
    };
  }),
  criterion('idle sessions on one worker', atLeast(2_000, null), ({ calls, memory }) => {
    const row = memory.find((each) => each.scenario === 'idle-sessions');
    const asked = findRow(calls, { scenario: 'idle-sessions', target: 'sample' });
    if (row === undefined || asked === undefined) return notMeasured;
    const measured = `${formatNumber(row.bytesEach / 1_000)} kB each`;
    return { value: row.count, measured, against: `exec in one ${p50.show(asked)}` };
  }),
  ...sandboxStep('upload of a file', atLeast(400, 800, ' MB/s'), { find: stepRate, step: 'upload' }),
  ...sandboxStep('download of a file', atLeast(400, 800, ' MB/s'), { find: stepRate, step: 'download' }),
  criterion('mount of 1 000 000 files, p50', atMost(100, null, ' ms'), stepTime('volumes', 'mount-many', 'bind mount')),
  criterion('mount p50, 10 → 1 000 000 files', atMost(1.2, 1.05), ({ calls }) => {
    const few = findRow(calls, { scenario: 'volumes', target: `${product} mount-few` });
    const many = findRow(calls, { scenario: 'volumes', target: `${product} mount-many` });
    return few === undefined || many === undefined ? notMeasured : compared(many, few, { figure: p50 });
  }),
  criterion('volume read, cached', atLeast(800, 1_200, ' MB/s'), stepRate('volumes', 'read-cached', 'disk')),
  criterion('commit of one chunk in 10 GiB, p50', atMost(300, null, ' ms'), stepTime('volumes', 'commit', 'disk')),
  // The rest are lists of chunks.
  criterion('fetched for 20 sandboxes, to what is read', atMost(1.01, null), ({ bytes }) => {
    const row = bytes.find((each) => each.scenario === 'volumes');
    if (row === undefined) return notMeasured;
    const [measured, against] = [row.bytes.median, row.ofBytes].map((each) => `${formatNumber(each / 1e6)} MB`);
    return { value: row.bytes.median / row.ofBytes, measured: measured ?? '', against: against ?? '' };
  }),
];

type Shown = readonly [value: number, shown: string];

/** Where the cores are kept awake, and on a machine that does nothing else. */
function sandboxStep(
  figure: string,
  bounds: Bounds,
  { find, step }: { readonly find: typeof stepTime; readonly step: string },
): Criterion[] {
  return [
    criterion(`${figure}, cores awake`, bounds, find('sandboxes', step, 'bare')),
    criterion(`${figure}, cores idle`, bounds, find('sandboxes-idle', step, 'bare')),
  ];
}

function firstCall(scenario: string): Criterion['find'] {
  return ({ calls }) => {
    const row = findRow(calls, { scenario, target: product });
    if (row === undefined) return notMeasured;
    const finding = { value: p50.of(row) / 1_000, measured: p50.show(row), against: 'the warm pool' };
    return withPath(finding, { row, calls, figure: p50 });
  };
}

/** @param other what its floor is called */
function stepTime(scenario: string, step: string, other: string): Criterion['find'] {
  return besideStep({ scenario, step, other }, (row) => [p50.of(row) / 1_000, p50.show(row)]);
}

function stepRate(scenario: string, step: string, other: string): Criterion['find'] {
  const of = (row: CallRow): Shown => [megabytesPerSecond(row), `${formatNumber(megabytesPerSecond(row))} MB/s`];
  return besideStep({ scenario, step, other }, of);
}

function besideStep(
  { scenario, step, other }: { readonly scenario: string; readonly step: string; readonly other: string },
  of: (row: CallRow) => Shown,
): Criterion['find'] {
  return ({ calls }) => {
    const row = findRow(calls, { scenario, target: `${product} ${step}` });
    const floor = row === undefined ? undefined : floorOf(row, calls);
    if (row === undefined || floor === undefined) return notMeasured;
    const [value, measured] = of(row);
    return { value, measured, against: `${other}, ${of(floor)[1]}` };
  };
}

function criterion(figure: string, bounds: Bounds, find: Criterion['find']): Criterion {
  return { figure, ...bounds, find };
}

function atMost(bar: number | null, aim: number | null, unit = ''): Bounds {
  return { sense: 'atMost', bar, aim, unit };
}

function atLeast(bar: number | null, aim: number | null, unit = ''): Bounds {
  return { sense: 'atLeast', bar, aim, unit };
}

function besideFloor(choice: RowChoice, figure: Figure<CallRow>): Criterion['find'] {
  return ({ calls }) => {
    const row = findRow(calls, { ...choice, target: product });
    const floor = row === undefined ? undefined : floorOf(row, calls);
    if (row === undefined || floor === undefined) return notMeasured;
    return withPath(compared(row, floor, { figure, name: 'floor' }), { row, calls, figure });
  };
}

/**
 * Of one run: where the product was measured beside the peers, those rows count. @param only the peer that counts; absent:
 * the best one
 */
function besidePeer(choice: RowChoice, figure: Figure<CallRow>, only?: string): Criterion['find'] {
  return ({ calls, peers }) => {
    const own = { ...choice, target: product };
    const beside = findRow(peers ?? [], own);
    const row = beside ?? findRow(calls, own);
    if (row === undefined) return notMeasured;
    if (peers === null) return noPeers;
    const rivals = peers.filter(
      (peer) =>
        peer.scenario === row.scenario &&
        peer.callers === row.callers &&
        (only === undefined ? ![product, peer.floor, pathTarget].includes(peer.target) : peer.target === only),
    );
    const sign = figure.better === 'less' ? 1 : -1;
    const [best] = rivals.sort((a, b) => sign * (figure.of(a) - figure.of(b)));
    if (best === undefined) return `no figure of ${only ?? 'peers'}`;
    const finding = compared(row, best, { figure, name: best.target });
    const isBeside = beside !== undefined && pathOf(beside, peers) !== undefined;
    return withPath(finding, isBeside ? { row, calls: peers, figure } : { row: findRow(calls, own), calls, figure });
  };
}

/** Two targets under the same load, the second of which has more of something. */
function grown(load: RowChoice, [few, many]: readonly [string, string], figure: Figure<CallRow>): Criterion['find'] {
  return ({ calls }) => {
    const from = findRow(calls, { ...load, target: few });
    const to = findRow(calls, { ...load, target: many });
    return from === undefined || to === undefined ? notMeasured : compared(to, from, { figure });
  };
}

/** Of the growing cluster: 128 callers on the one, 256 on the other. */
function withTwiceTheCallers(few: string, many: string): Criterion['find'] {
  return ({ calls }) => {
    const from = findRow(calls, { ...growing, target: few, callers: 128 });
    const to = findRow(calls, { ...growing, target: many });
    return from === undefined || to === undefined ? notMeasured : compared(to, from, { figure: cpu });
  };
}

/** @param row of the product, measured beside the path's */
function withPath(
  finding: Finding,
  {
    row,
    calls,
    figure,
  }: { readonly row: CallRow | undefined; readonly calls: readonly CallRow[]; readonly figure: Figure<CallRow> },
): Finding {
  const path = row === undefined ? undefined : pathOf(row, calls);
  if (row === undefined || path === undefined) return finding;
  return { ...finding, path: (finding.value * figure.of(path)) / figure.of(row) };
}

/** @param name of the other one, where the criterion does not say it */
function compared<R extends CallRow>(
  row: R,
  other: R,
  { figure, name }: { readonly figure: Figure<R>; readonly name?: string },
): Finding {
  const against = [...(name === undefined ? [] : [name]), figure.show(other)].join(', ');
  return { value: figure.of(row) / figure.of(other), measured: figure.show(row), against };
}
