/**
 * Fuzzes the guest agent, built with sanitizers: `npm run fuzz:guest -- --seconds 300 [--seed N]`. Half of the time goes to its
 * frame parser alone (libFuzzer where clang is, else mutations of our own), half to the whole agent: in namespaces of its own it
 * gets requests that are right, nearly right and not at all. What it finds it prints with the seed, and fails.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { guestSources } from './build-guest.mjs';

const root = join(import.meta.dirname, '..');
const target = join(root, 'test/runtime/sandbox/fuzz-frames.c');
const frames = join(root, 'src/guest/frames.c');
const sanitized = ['-std=gnu11', '-g', '-O1', '-fno-sanitize-recover=all'];
const agent = '/run/holdfast-guest';
const longestLifeMs = 3_000;
const requestsOfALife = 300;

function compile(compiler, flags) {
  const { status, stderr, error } = spawnSync(compiler, flags, { encoding: 'utf8' });
  return status === 0 ? null : (stderr ?? String(error));
}

function fuzzFrames(folder, { seconds, seed }) {
  const program = join(folder, 'fuzz-frames');
  const common = [...sanitized, '-o', program, target, frames];
  const hasLibFuzzer = compile('clang', ['-fsanitize=fuzzer,address,undefined', '-DLIBFUZZER', ...common]) === null;
  const failure = hasLibFuzzer ? null : compile('gcc', ['-fsanitize=address,undefined', ...common]);
  if (failure !== null) throw new Error(`cannot compile the fuzz target: ${failure}`);
  const flags = hasLibFuzzer ? [`-max_total_time=${seconds}`, `-seed=${seed}`] : [String(seconds), String(seed)];
  const { status, signal } = spawnSync(program, flags, { stdio: 'inherit', cwd: folder });
  if (status !== 0) throw new Error(`the frame parser broke (${signal ?? status})`);
}

/** Numbers from a seed: xorshift, as good as it has to be. */
function randomOf(seed) {
  let state = (BigInt(seed) * 2654435761n + 88172645463325252n) & 0xffff_ffff_ffff_ffffn;
  return (below) => {
    state ^= (state << 13n) & 0xffff_ffff_ffff_ffffn;
    state ^= state >> 7n;
    state ^= (state << 17n) & 0xffff_ffff_ffff_ffffn;
    return Number((state >> 32n) % BigInt(below));
  };
}

const paths = [
  '/tmp',
  '/tmp/a',
  '/tmp/a/b',
  '/tmp/a/b/c',
  '/tmp/link',
  '/dev/zero',
  '/proc',
  '/proc/1/stat',
  '/',
  '',
  'a',
  '/tmp/pipe',
];
const commands = [
  ['true'],
  ['no-such-program'],
  ['sh', '-c', 'echo out; echo err >&2; exit 3'],
  ['sh', '-c', 'mkdir -p /tmp/a/b; touch /tmp/a/b/c; ln -s /tmp/a /tmp/link; mkfifo /tmp/pipe'],
  ['sh', '-c', 'yes | head -c 300000'],
  ['sh', '-c', '(sleep 1; echo late) & exit 0'],
  ['sh', '-c', 'setsid sleep 1 & sleep 1'],
  ['cat'],
];

const kinds = {
  data: 1,
  end: 2,
  credit: 3,
  close: 4,
  resize: 5,
  discard: 6,
  spawn: 7,
  write: 16,
  connect: 20,
  listen: 21,
};
const takesData = [kinds.spawn, kinds.write, kinds.connect];

const number = (width, value) => {
  const bytes = Buffer.alloc(width);
  for (let i = 0, rest = BigInt(value); i < width; i += 1, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
};
const text = (value) => Buffer.from(`${value}\0`);

/** One request as bytes. `sent` has the kinds of those before, by ref: later ones are about earlier ones. */
function makeRequest(draw, sent) {
  const oneOf = (list) => list[draw(list.length)];
  const credit = () => number(4, oneOf([0, 1, 100, 4096, 262144, 0xffffffff]));
  const path = () => text(oneOf(paths));
  const flags = () => number(1, draw(4));
  const oldRef = () => Math.max(1, sent.length - draw(12));
  const words = oneOf(commands);
  const bodies = {
    1: () => [Buffer.alloc(oneOf([0, 1, 5000, 65536]), 120)],
    2: () => [],
    3: () => [credit()],
    4: () => [],
    5: () => [number(2, draw(65536)), number(2, draw(100))],
    6: () => [flags()],
    7: () => [
      credit(),
      flags(),
      number(2, 80),
      number(2, 50),
      number(4, words.length),
      path(),
      ...words.map(text),
      text('PATH=/bin'),
    ],
    8: () => [number(4, oldRef()), number(1, oneOf([0, 1, 9, 9, 15, 200]))],
    9: () => [flags(), path()],
    10: () => [number(2, draw(65536)), path()],
    11: () => [path(), path()],
    12: () => [path()],
    13: () => [flags(), path()],
    14: () => [credit(), number(8, oneOf([0, 5, 2 ** 53 - 1])), number(8, oneOf([0, 100, 2 ** 53 - 1])), path()],
    15: () => [credit(), number(8, 0), number(8, 2 ** 53 - 1), path()],
    16: () => [flags(), number(2, draw(4096)), path()],
    17: () => [credit()],
    18: () => [number(4, oldRef()), number(4, draw(65536)), path()],
    19: () => [number(4, oldRef()), number(4, draw(4))],
    20: () => [credit(), number(2, oneOf([9, 40123]))],
    21: () => [credit(), number(2, oneOf([0, 40123]))],
  };
  const ref = oldRef();
  // Data for what takes none is the end of the agent, as it should be: seldom enough to get further.
  const isDataWelcome = takesData.includes(sent[ref - 1]) || draw(500) === 0;
  const drawn = draw(4) === 0 ? kinds.data + draw(5) : 1 + draw(kinds.listen);
  const kind = drawn === kinds.data && !isDataWelcome ? kinds.spawn : drawn;
  const isFollowUp = kind <= kinds.discard;
  if (!isFollowUp) sent.push(kind);
  const body = Buffer.concat(bodies[kind]());
  const frame = Buffer.concat([
    number(4, body.length + 5),
    number(1, kind),
    number(4, isFollowUp ? ref : sent.length),
    body,
  ]);
  if (draw(1500) === 0) frame[draw(frame.length)] = draw(256);
  return frame;
}

/** One life of the agent. @returns what a sanitizer said, or '' */
async function runAgent(program, seed) {
  const draw = randomOf(seed);
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-fuzz-'));
  const isolation = [
    '--unshare-all',
    '--die-with-parent',
    '--new-session',
    '--as-pid-1',
    '--uid',
    '1000',
    '--gid',
    '1000',
  ];
  const mounts = [
    '--ro-bind',
    '/',
    '/',
    '--dev',
    '/dev',
    '--proc',
    '/proc',
    '--bind',
    folder,
    '/tmp',
    '--tmpfs',
    '/run',
  ];
  const child = spawn('bwrap', [...isolation, ...mounts, '--ro-bind', program, agent, agent], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { ASAN_OPTIONS: 'detect_leaks=0', UBSAN_OPTIONS: 'print_stacktrace=1' },
  });
  let said = '';
  child.stderr.on('data', (bytes) => {
    said += bytes;
  });
  const exited = once(child, 'exit');
  const link = child.stdio[3];
  link.on('error', () => undefined);
  link.resume();
  const timer = setTimeout(() => child.kill('SIGKILL'), longestLifeMs);
  const sent = [];
  while (sent.length < requestsOfALife && child.exitCode === null && !link.destroyed) {
    const isTaken = link.write(makeRequest(draw, sent));
    if (!isTaken || draw(20) === 0) await Promise.race([new Promise((resolve) => setTimeout(resolve, 2)), exited]);
  }
  link.end();
  await exited;
  clearTimeout(timer);
  rmSync(folder, { recursive: true, force: true });
  return /Sanitizer|runtime error/.test(said) ? said : '';
}

async function fuzzAgent(folder, { seconds, seed }) {
  const program = join(folder, 'agent');
  const sources = guestSources().filter((file) => file.endsWith('.c'));
  const failure = compile('gcc', [...sanitized, '-fsanitize=address,undefined', '-o', program, ...sources]);
  if (failure !== null) throw new Error(`cannot compile the agent with sanitizers: ${failure}`);
  const end = performance.now() + seconds * 1000;
  let lives = 0;
  for (; performance.now() < end; lives += 1) {
    const said = await runAgent(program, seed + lives);
    if (said !== '') throw new Error(`the agent broke, --seed ${seed + lives}:\n${said}`);
  }
  console.log(`${lives} lives of the agent, none broke`);
}

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' } } });
const seed = Number(values.seed ?? Date.now() % 1_000_000_000);
const half = { seconds: Math.max(1, Math.floor(Number(values.seconds) / 2)), seed };
const folder = mkdtempSync(join(tmpdir(), 'holdfast-fuzz-guest-'));
console.log(`seed ${seed}`);
try {
  fuzzFrames(folder, half);
  await fuzzAgent(folder, half);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
