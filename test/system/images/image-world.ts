import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { App, type Deployment, type ImageProgress, type RemoteApp } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll } from 'vitest';

/** A cluster of this test file that builds images, and a folder of modules that are deployed to it. */
export class ImageWorld {
  #cluster: TestCluster | null = null;
  #folder = '';
  #modules = 0;

  /** @param options of the cluster; default: one worker, embedded */
  constructor(options: Parameters<typeof startCluster>[0] = { mode: 'embedded' }) {
    beforeAll(async () => {
      this.#folder = await mkdtemp(join(tmpdir(), 'holdfast-image-apps-'));
      this.#cluster = await startCluster({ ...options, isolation: 'bubblewrap' });
    }, 120_000);
    afterAll(async () => {
      await this.#cluster?.close();
      await rm(this.#folder, { recursive: true, force: true });
    }, 120_000);
  }

  get cluster(): TestCluster {
    if (this.#cluster === null) throw new Error('the cluster has not started');
    return this.#cluster;
  }

  /** Of the files that modules copy. */
  path(name: string): string {
    return join(this.#folder, name);
  }

  async write(files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(this.path(name)), { recursive: true });
      await writeFile(this.path(name), content);
    }
  }

  /** What `holdfast` prints with `--json`. */
  async command(...args: string[]): Promise<unknown> {
    const program = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
    const { endpoint, token } = this.cluster;
    const env = { ...process.env, HOLDFAST_ENDPOINT: endpoint, HOLDFAST_TOKEN: token };
    const { stdout } = await promisify(execFile)(process.execPath, [program, ...args, '--json'], { env });
    return JSON.parse(stdout);
  }

  /** Deploys a module whose text comes after its imports. @param onEvent told of the build as it goes */
  async deploy(
    source: string,
    signal?: AbortSignal,
    onEvent: (event: ImageProgress) => void = () => undefined,
  ): Promise<Built> {
    this.#modules += 1;
    const name = `app${this.#modules}`;
    const text = `import { App, enter, Image, method } from 'holdfast';\nexport const app = new App('${name}');\n${source}\n`;
    await this.write({ [`${name}.ts`]: text });
    const progress: ImageProgress[] = [];
    const onImage = (event: ImageProgress): void => {
      progress.push(event);
      onEvent(event);
    };
    const { client } = this.cluster;
    const options = { client, onImage, ...(signal === undefined ? {} : { signal }) };
    const deployment = await new App(name).deploy({ entry: this.path(`${name}.ts`), ...options });
    return { deployment, progress, app: await App.lookup(name, { client }) };
  }
}

export interface Built {
  readonly deployment: Deployment;
  readonly progress: readonly ImageProgress[];
  readonly app: RemoteApp<Record<string, unknown>>;
}

/** What was done, without what was printed: `1 run(make)`, with a `+` where it was built then. */
export function stepsOf(progress: readonly ImageProgress[]): string[] {
  return progress.flatMap((event) =>
    event.type === 'step' ? [`${event.cached ? ' ' : '+'}${event.step} ${event.what}`] : [],
  );
}

export function outputOf(progress: readonly ImageProgress[]): string {
  return progress.map((event) => (event.type === 'output' ? event.text : '')).join('');
}
