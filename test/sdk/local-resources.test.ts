import { afterEach, expect, test } from 'vitest';
import { App, Cls, Image, isHoldfastError, method, NetworkFileSystem, Secret, Volume } from '../../src/sdk/index.js';

const app = new App('local-resources');
const variable = 'HOLDFAST_TEST_TOKEN';

@app.cls({ secrets: [Secret.fromName('database', { requiredKeys: [variable] })] })
class Needy {
  @method()
  token(): string | undefined {
    return process.env[variable];
  }
}

@app.cls({ volumes: { '/data': Volume.cloud('data') } })
class WithVolume {}

@app.cls({ volumes: [NetworkFileSystem.fromName('live').mountedAt('/live')] })
class WithLive {}

@app.cls({ image: Image.debianSlim() })
class WithImage {
  @method()
  where(): number {
    return process.pid;
  }
}

const named = app.function(() => 'ran', { name: 'named', secrets: [Secret.fromName(variable)] });
const mounted = app.function(() => 'ran', { name: 'mounted', volumes: { '/data': Volume.cloud('data') } });

afterEach(() => {
  delete process.env[variable];
});

async function refusal(work: () => unknown): Promise<{ code: string; message: string }> {
  try {
    await work();
  } catch (e) {
    if (isHoldfastError(e)) return { code: e.code, message: e.message };
    throw e;
  }
  throw new Error('nothing was refused');
}

test('a secret that a local instance names is the variable of this program, and missed where that is not set', async () => {
  const { code, message } = await refusal(() => Cls.of(Needy).local());
  expect(code).toBe('NotFound');
  expect(message).toContain("class 'Needy' names secret 'database'");
  expect(message).toContain(`set ${variable}`);
  process.env[variable] = 'x';
  await using needy = await Cls.of(Needy).local();
  expect(await needy.token()).toBe('x');
});

test('of a secret without required keys nothing is missed, as its variables are not known here', () => {
  expect(named.local()).toBe('ran');
});

test('an image of a local class does not count: it runs in this process', async () => {
  await using instance = await Cls.of(WithImage).local();
  expect(await instance.where()).toBe(process.pid);
});

test('a volume and a network file system of a local class or function are refused with what to do', async () => {
  for (const local of [() => Cls.of(WithVolume).local(), () => Cls.of(WithLive).local(), () => mounted.local()]) {
    const { code, message } = await refusal(local);
    expect(code).toBe('VolumeUnavailable');
    expect(message).toContain('holdfast dev');
  }
});
