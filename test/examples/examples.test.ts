import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { startCluster } from 'holdfast/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { canIsolate, isolatedTest } from '../isolated-test.js';

const examples = join(import.meta.dirname, '../../examples');

/** What each example prints. */
const outputs: Readonly<Record<string, string>> = {
  'stateful-demo': `hi: world
closed: true, exit hook: ran
`,
  'chat-room': `Ada reads "welcome, Ada" from room
Grace reads "welcome, Grace" from room
Barbara reads "welcome, Barbara" from room
delivered to 3 people
Ada reads "hello" from Ada
Barbara reads "hello" from Ada
Grace reads "hello" from Ada
Ada reads "goodbye" from Grace
Barbara reads "goodbye" from Grace
Grace reads "goodbye" from Grace
`,
  'rate-limiter': `100 users sent 10 requests each
allowed per user: 3
user-1 may come back in at most 20 s
`,
  embeddings: `9 texts, 2 batches
0.92 The ship waits at anchor for its pilot
0.76 A pilot boards the ship at the anchorage
`,
  'word-count': `60 files, in order: true
the: 80
tide: 60
and: 20
`,
  counter: `counted: 1, 2, 3
its process was killed: OutcomeUnknown
and counts on: 4
closed, and made again: 1
`,
  'job-queue': `7 jobs left in the queue
succeeded: page 1 of magazine
succeeded: page 2 of magazine
succeeded: page 3 of magazine, at attempt 3
succeeded: page 4 of magazine, after its process had died
succeeded: page 5 of magazine
succeeded: page 6 of magazine
failed: Error: there is no scanner
`,
  resume: `process 1 put in: bread
process 2 has now: bread, cheese
after the close, the handle answers: InstanceGone
`,
};

/** The same of those with sandboxes. */
const isolatedOutputs: Readonly<Record<string, string>> = {
  volumes: `secrets: HF_TOKEN, OPENAI_API_KEY
secret mounted
the function wrote: hello
portable: hello
local: warm
on the same host: true
scratch: foo
kept: foo bar 
scratch is left: false
`,
  'fast-cache': `first run: GPU 0, found in /cache: none
second run: GPU 0, found in /cache: compiled
fast-cache is vast_local, on one of 1 workers with that GPU
`,
  'data-set': `sandbox 0: 1000 rows, wrote 0
sandbox 1: 1000 rows, wrote 1
sandbox 2: 1000 rows, wrote 2
sandbox 3: 1000 rows, wrote 3
the volume has: rows.csv
`,
  workspace: `two sees before its reload: 0 files
two stands on that commit: true
two sees then: notebook.ipynb
a class committed, and sees: notebook.ipynb, outline.md
the volume has: notebook.ipynb, one.txt, outline.md, two.txt
modified: notebook.ipynb
added: one.txt
added: outline.md
added: two.txt
restored: {}
`,
  'sandbox-demo': `hello from a sandbox
/workspace/notes/today.txt has: milk, bread
1
2
3
exit code 4
closed: true
`,
  'code-interpreter': `ada > open('prices.csv', 'w').write('milk,2\\nbread,3\\n')
done
ada > print(sum(int(line.split(',')[1]) for line in open('prices.csv')))
5
grace > open('prices.csv')
FileNotFoundError: [Errno 2] No such file or directory: 'prices.csv'
grace > import socket; socket.create_connection(('192.0.2.1', 80))
OSError: [Errno 101] Network is unreachable
ada has the files: prices.csv
grace has the files: none
`,
  'coding-agent': `round 1: wrote slug.py
round 1: FAIL: test_is_lower_case
round 2: wrote slug.py
round 2: FAIL: test_leaves_out_punctuation
round 3: wrote slug.py
the tests pass with:
import re

def slug(title):
    return '-'.join(re.findall('[a-z0-9]+', title.lower()))
`,
  'live-files': `the session wrote: foo
the session read: go on
both see: a.txt, go
`,
  'fan-out': `20 sandboxes counted the words of 10000 lines
anchor: 7497
bollard: 7498
cleat: 7499
dock: 7500
`,
};

/** By tests of what they need, beside a cluster. */
const testedElsewhere = ['cloud-bucket', 'debian-python', 'fast-cache-numpy'];

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hf-examples-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Runs it as a user does, with a folder of its own for temporary files. */
async function run(script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, ['--import', 'tsx', join(examples, script), ...args], {
    env: { ...process.env, TMPDIR: folder, HOLDFAST_ENDPOINT: undefined, HOLDFAST_TOKEN: undefined, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { stdout, stderr, exitCode: child.exitCode };
}

/** What clusters have left. */
function leftFolders(): string[] {
  return readdirSync(folder).filter((name) => name.startsWith('holdfast-'));
}

describe('an example', () => {
  test('is tested here', () => {
    const names = readdirSync(examples).filter((name) => existsSync(join(examples, name, 'main.ts')));
    expect(names.toSorted()).toEqual(
      [...Object.keys({ ...outputs, ...isolatedOutputs }), ...testedElsewhere].toSorted(),
    );
  });

  test.each(Object.entries(outputs))('%s prints what it should, on a cluster of its own', async (name, expected) => {
    const { stdout, stderr, exitCode } = await run('run.ts', [name]);
    expect({ stdout: inOrderOfReaders(stdout), stderr, exitCode }).toEqual({
      stdout: expected,
      stderr: '',
      exitCode: 0,
    });
    expect(leftFolders()).toEqual([]);
  });

  isolatedTest.each(Object.entries(isolatedOutputs))(
    '%s prints what it should, in real sandboxes',
    async (name, expected) => {
      const { stdout, stderr, exitCode } = await run('run.ts', [name]);
      expect({ stdout, stderr, exitCode }).toEqual({ stdout: expected, stderr: '', exitCode: 0 });
      expect(leftFolders()).toEqual([]);
    },
  );

  test('runs against the cluster that the environment names', async () => {
    await using cluster = await startCluster({ mode: 'embedded' });
    const env = { HOLDFAST_ENDPOINT: cluster.endpoint, HOLDFAST_TOKEN: cluster.token };
    const { stdout, stderr } = await run('run.ts', ['stateful-demo'], env);
    expect({ stdout, stderr }).toEqual({ stdout: outputs['stateful-demo'], stderr: '' });
    expect((await cluster.client.apps()).map((app) => app.name)).toEqual(['stateful-demo']);
  });

  test('that is not there is answered with the names of those that are', async () => {
    const { stderr, exitCode } = await run('run.ts', ['nothing']);
    expect(stderr).toMatch(/chat-room\|.*\|rate-limiter\|resume\|/);
    expect(exitCode).toBe(64);
  });
});

test('the demo tells what it did in 25 short lines, each with its time, and ends without a trace', async () => {
  const { stdout, stderr, exitCode } = await run('demo.ts', []);
  expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 });
  const lines = stdout.trimEnd().split('\n');
  expect(lines.length).toBeLessThanOrEqual(25);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  const told = lines.slice(2).map((line) => /^ {2}(.*?) +[\d.]+ ms$/.exec(line)?.[1] ?? `not a step: ${line}`);
  expect(told).toEqual([...classSteps, ...(canIsolate ? sandboxSteps : [skippedStep]), lastStep]);
  expect(leftFolders()).toEqual([]);
});

const classSteps = [
  'a router and a worker run in this process, on LMDB',
  "examples/demo/app.ts is deployed as 'demo', version 1",
  "instance 'ada' of class Notebook has its place on the worker",
  "its container starts, @enter runs: ada.write('first') -> 2 notes",
  "ada.write('second') -> 3: the state stays in memory",
  "'grace' lives beside it, with a state of its own -> 2 notes",
  'both worked for 300 ms, side by side',
  'another process goes on with ada by its handle -> 4 notes',
  'a generator streamed: first, second, from another process',
  '4 calls at once: 1 ran, 2 waited, 1 refused: PendingLimitExceeded',
  'ada was closed, its @exit hook ran',
  'a call through the old handle -> InstanceGone',
];
const sandboxSteps = [
  'a sandbox session has its place on the worker',
  'its walls and disk are made, a file is written: /job/numbers.txt',
  "'sort numbers.txt > sorted.txt' ran in it -> exit code 0",
  'what it wrote is read back: 1, 2, 3',
  'the session is closed: its processes and files are gone',
];
const skippedStep = 'not a step:   skipped: a sandbox needs Linux, root and bubblewrap (`npm run setup` as root)';
const lastStep = 'the cluster is gone: no process, no file is left';

/** Who hears a message first is chance; that everybody hears it is not. */
function inOrderOfReaders(text: string): string {
  const sorted = (lines: string): string => lines.split(/^/m).toSorted().join('');
  return text.replace(/(?:^.* reads "hello" .*\n)+/m, sorted).replace(/(?:^.* reads "goodbye" .*\n)+/m, sorted);
}
