import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { App, Secret } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { pythonTest } from '../isolated-test.js';
import { until } from '../runtime/until.js';
import { Home } from './holdfast.js';

const program = join(import.meta.dirname, '../../dist/cli/main.js');
const terminal = join(import.meta.dirname, '../fixtures/terminal.py');
const asked = 'value of API_TOKEN: ';
const value = 'needle-in-a-haystack';
const [ctrlC, ctrlD, erase] = ['\x03', '\x04', '\x7f'];

describe('the prompt of a secret, on a terminal', () => {
  let cluster: TestCluster;
  let env: Record<string, string>;
  const home = new Home();
  const children: ChildProcess[] = [];
  beforeAll(async () => {
    cluster = await startCluster({ mode: 'embedded' });
    env = { HOLDFAST_ENDPOINT: cluster.endpoint, HOLDFAST_TOKEN: cluster.token };
    await cluster.deploy(new URL('../fixtures/secret-app.ts', import.meta.url));
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });
  afterAll(async () => {
    await cluster?.close();
    await home[Symbol.asyncDispose]();
  });

  /** `holdfast secret set API_TOKEN`, which asks by now. */
  async function prompted() {
    const words = [terminal, process.execPath, program, 'secret', 'set', 'API_TOKEN'];
    const child = spawn('python3', words, {
      env: { ...process.env, ...env, XDG_STATE_HOME: home.folder },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    children.push(child);
    let screen = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text;
    });
    await until(() => screen.includes(asked) || child.exitCode !== null);
    return {
      type: (text: string) => void child.stdin.write(text),
      /** What was shown after the prompt, and how it ended. */
      ended: async (): Promise<{ shown: string; end: object }> => {
        await once(child, 'close');
        const [last = '', ...lines] = screen.trimEnd().split('\n').reverse();
        const shown = lines.reverse().join('\n');
        return { shown: shown.slice(shown.indexOf(asked) + asked.length), end: JSON.parse(last) as object };
      },
    };
  }

  const names = async (): Promise<string[]> => (await Secret.list({ client: cluster.client })).map(({ name }) => name);

  test('is the only way in besides a pipe: a value among the arguments is refused, and not quoted', async () => {
    const { exitCode, stdout, stderr } = await home.run(['secret', 'set', 'API_TOKEN', value], { env });
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(/InvalidArgument.*too many arguments/);
    expect(stderr).not.toContain('needle');
    expect(await names()).toEqual([]);
  });

  for (const [how, keys] of [
    ['Ctrl-C', ctrlC],
    ['Ctrl-D', ctrlD],
  ] as const)
    pythonTest(`sets nothing at ${how}, and leaves the terminal as it was`, async () => {
      const prompt = await prompted();
      prompt.type(how === 'Ctrl-C' ? value : '');
      prompt.type(keys);
      const { shown, end } = await prompt.ended();
      expect(end).toEqual({ code: 5, shown: [false], restored: true });
      expect(shown).toContain('no value was given; nothing was set');
      expect(shown).not.toContain('needle');
      expect(await names()).toEqual([]);
    });

  pythonTest('takes a line that is typed, erased and typed again, and shows nothing of it', async () => {
    const prompt = await prompted();
    prompt.type('needless');
    prompt.type(erase.repeat(4));
    prompt.type(`${value.slice(4)}\r`);
    const { shown, end } = await prompt.ended();
    expect(end).toEqual({ code: 0, shown: [false], restored: true });
    expect(shown.trim()).toBe('set API_TOKEN');
    expect(await names()).toEqual(['API_TOKEN']);
    const { client } = cluster;
    const app = await App.lookup<typeof import('../fixtures/secret-app.js')>('secret-test', { client });
    expect(await app.digest()).toBe(createHash('sha256').update(value).digest('hex'));
  });
});
