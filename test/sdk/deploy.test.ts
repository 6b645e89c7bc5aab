import { writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isHoldfastError } from '../../src/common/errors.js';
import { exportedNames } from '../../src/sdk/classes/exported-names.js';
import { bundleModule } from '../../src/sdk/deploy/bundle.js';
import { deployModule } from '../../src/sdk/deploy/deploy-module.js';
import { describeBundle } from '../../src/sdk/deploy/describe.js';
import * as sdk from '../../src/sdk/index.js';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-deploy-test-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

function fixture(name: string): URL {
  return new URL(`./fixtures/${name}`, import.meta.url);
}

async function describeFixture(name: string, appName: string | null = null) {
  return await describeBundle(await bundleModule(fixture(name)), { appName });
}

async function refusal(work: Promise<unknown>, code: sdk.ErrorCode = 'InvalidArgument'): Promise<sdk.HoldfastError> {
  const thrown = await work.then(
    () => 'nothing',
    (e: unknown) => e,
  );
  if (isHoldfastError(thrown, code)) return thrown;
  throw thrown;
}

test('bundles may import every value of the package and nothing else', () => {
  expect([...exportedNames].sort()).toEqual(Object.keys(sdk).sort());
});

describe('a bundle', () => {
  test('has its imports inside and reads the SDK from its container', async () => {
    const { code } = await bundleModule(fixture('model-app.ts'));
    const text = Buffer.from(code).toString('utf8');
    expect(text).toContain("Symbol.for('holdfast.container')".replaceAll("'", '"'));
    expect(text).toContain('function double(');
    expect(text).not.toMatch(/from ["']holdfast["']/);
    expect(text).toContain('//# sourceMappingURL=data:');
  });

  test('has the same bytes each time, and relative paths only', async () => {
    const [one, two] = [await bundleModule(fixture('model-app.ts')), await bundleModule(fixture('model-app.ts').href)];
    expect(one.sha256).toBe(two.sha256);
    expect(one.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(Buffer.from(one.code).toString('utf8')).not.toContain(join(import.meta.dirname, 'fixtures'));
  });

  test('brings no second SDK where the package is imported from its own checkout', async () => {
    const bundle = await bundleModule(fixture('checkout-app.ts'));
    expect(bundle.code.length).toBeLessThan(20_000);
    const { classes } = await describeBundle(bundle, { appName: null });
    expect(Object.keys(classes)).toEqual(['FromCheckout']);
  });

  test('runs CommonJS packages that require what Node has', async () => {
    const dependency = join(folder, 'dependency.cjs');
    await writeFile(dependency, "module.exports = require('node:path').posix.join('a', 'b');");
    const entry = join(folder, 'entry.mjs');
    writeFileSync(
      entry,
      "import { App } from 'holdfast'; import joined from './dependency.cjs';\nexport const app = new App(joined.replace('/', '-')); class A {}; app.cls()(A, { kind: 'class', name: 'A', metadata: {} });",
    );
    const manifest = await describeBundle(await bundleModule(pathToFileURL(entry)), { appName: null });
    expect(manifest.app).toBe('a-b');
  });

  test('is refused for native modules, syntax errors and files that are not there', async () => {
    const native = join(folder, 'native.js');
    await writeFile(native, "import addon from './addon.node'; export { addon };");
    expect((await refusal(bundleModule(native))).message).toContain('native module ./addon.node');
    const broken = join(folder, 'syntax-error.js');
    await writeFile(broken, 'export const broken = (;');
    expect((await refusal(bundleModule(broken))).message).toMatch(/syntax-error\.js:1:\d+: /);
    expect((await refusal(bundleModule(fixture('absent.ts')))).message).toContain('is not there');
    for (const [entry, got] of [
      [5, '5'],
      ['', '""'],
      [null, 'null'],
    ] as const) {
      const { message } = await refusal(bundleModule(entry as string));
      expect(message).toBe(`the module to deploy must be a path or a URL, got ${got}`);
    }
  });
});

describe('the manifest of a module', () => {
  test('describes its app and classes, exported or not', async () => {
    const manifest = await describeFixture('model-app.ts');
    expect(manifest).toMatchObject({ app: 'model', tags: ['demo'], metadata: { owner: 'me' } });
    expect(Object.values(manifest.classes).map(({ name, exportName }) => [name, exportName])).toEqual([
      ['Model', 'Model'],
      ['Hidden', ''],
      ['Main', 'default'],
    ]);
    const { Model: model } = manifest.classes;
    expect(model).toMatchObject({ options: { cpu: 2 }, enterHooks: ['open'], exitHooks: [] });
    expect(model?.methods['infer']).toMatchObject({ idempotent: true, generator: false });
    expect(model?.methods['tokens']).toMatchObject({ generator: true });
  });

  test('knows which parameters TypeScript made optional, although the bundle does not', async () => {
    const { Model: model } = (await describeFixture('model-app.ts')).classes;
    expect(model?.parameters).toEqual([
      { name: 'prefix', optional: false, rest: false },
      { name: 'label', optional: true, rest: false },
      { name: 'scale', optional: true, rest: false },
    ]);
    expect(model?.methods['infer']?.parameters).toEqual([
      { name: 'value', optional: false, rest: false },
      { name: 'options', optional: true, rest: false },
    ]);
    expect(model?.methods['tokens']?.parameters.map((parameter) => parameter.optional)).toEqual([false, true]);
  });

  test('needs a name where there are several apps, and does not wait for what the module left open', async () => {
    expect((await refusal(describeFixture('two-apps.ts'))).message).toContain("several apps: 'first', 'second'");
    expect(Object.keys((await describeFixture('two-apps.ts', 'second')).classes)).toEqual(['Second']);
    expect((await refusal(describeFixture('two-apps.ts', 'third'))).message).toContain("no app 'third'");
  });

  test('is refused where the module has no app, throws, or ends its process', async () => {
    expect((await refusal(describeFixture('no-app.ts'))).message).toContain('declares no app');
    const thrown = await refusal(describeFixture('throwing-app.ts'));
    expect(thrown.message).toMatch(/, at throwing-app\.ts:5:\d+: RangeError: the model file is missing$/);
    expect(thrown.cause).toMatchObject({ message: 'the model file is missing', path: '/models/a' });
    expect((thrown.cause as Error).stack).toContain('throwing-app.ts:5');
    expect((await refusal(describeFixture('exiting-app.ts'))).message).toMatch(/with code 3 .*about to leave/);
    expect((await refusal(describeFixture('waiting-app.ts'))).message).toContain('what never comes');
  });

  test('is refused where the module talks to the cluster while it loads', async () => {
    expect((await refusal(describeFixture('calling-app.ts'))).message).toContain('must not talk to the cluster');
  });

  test('is not made when its caller has gone', async () => {
    const bundle = await bundleModule(fixture('model-app.ts'));
    await refusal(describeBundle(bundle, { appName: null, signal: AbortSignal.abort() }), 'Cancelled');
  });
});

describe('a deploy', () => {
  test('without a router says which endpoint did not answer', async () => {
    await using client = new sdk.Client({ endpoint: '127.0.0.1:1', token: 'none' });
    const error = await refusal(deployModule(fixture('model-app.ts'), { client }), 'Unavailable');
    expect(error.message).toContain('127.0.0.1:1');
    expect(error.details).toMatchObject({ endpoint: '127.0.0.1:1' });
  });

  test('needs to know the module', async () => {
    expect((await refusal(new sdk.App('no-entry').deploy())).message).toContain('entry: import.meta.url');
  });
});
