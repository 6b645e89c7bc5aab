import { describe, expect, test } from 'vitest';
import { describeApp } from '../../src/sdk/deploy/describe-app.js';
import { App } from '../../src/sdk/index.js';

const describeModule = (module: Record<string, unknown>, appName: string) =>
  describeApp(module, { appName, bundle: '' });

describe('a function that a module declares', () => {
  test('is described as a class with one method, under the name of its export or its own', () => {
    const app = new App('described');
    const one = app.function(async (x: number, y = 2) => x + y, { cpu: 2, maxContainers: 4, maxPendingTasks: 7 });
    const two = app.function(
      function* values() {
        yield 1;
      },
      { name: 'second' },
    );
    const { classes } = describeModule({ one, two }, 'described');
    expect(Object.keys(classes)).toEqual(['one', 'second']);
    expect(classes['one']).toMatchObject({
      kind: 'function',
      exportName: 'one',
      signature: '(x, y = 2)',
      options: { cpu: 2, maxContainers: 4, maxPendingTasks: 7, idleTimeoutMs: 60_000, onLoss: 'recreate' },
      methods: { call: { generator: false, parameters: [{ name: 'x' }, { name: 'y', optional: true }] } },
    });
    expect(classes['second']).toMatchObject({ exportName: 'two', methods: { call: { generator: true } } });
    expect(one.functionName).toBe('one');
  });

  test('needs a name of its own', () => {
    const app = new App('nameless');
    app.function(async () => 1);
    expect(() => describeModule({}, 'nameless')).toThrow("a function of app 'nameless' has no name: export it");
    const other = new App('taken');
    const shell = other.sandbox({ name: 'same' });
    const same = other.function(async () => 1);
    expect(() => describeModule({ shell, same }, 'taken')).toThrow('which is the name of a sandbox');
    expect(() => other.function(async () => 1, { name: 'same' })).toThrow("named 'same'");
  });

  test('is refused with what is wrong with it', () => {
    const app = new App('wrong');
    expect(() => app.function(7 as never)).toThrow('needs a function, got number');
    expect(() => app.function(async () => 1, { cpus: 2 } as never)).toThrow("no option 'cpus'");
    expect(() => app.function(async () => 1, { name: 'no spaces' })).toThrow("option 'name'");
    expect(() => app.function(async () => 1, { maxContainers: 0 })).toThrow("option 'maxContainers'");
  });

  test('is called by the name of the variable that declares it, where only that is known', async () => {
    const app = new App('declared');
    const counted = app.function(async (x: number) => x);
    const onLines = app.function(async (x: number) => x, { cpu: 0.5 });
    expect([counted.functionName, onLines.functionName]).toEqual(['counted', 'onLines']);
    const typed: (x: number) => Promise<number> = app.function(async (x: number) => x);
    expect((typed as typeof counted).functionName).toBe('typed');
    const list = [app.function(async () => 1)];
    expect(() => list[0]?.functionName).toThrow('has no name');
    await expect(list[0]?.remote()).rejects.toMatchObject({ code: 'InvalidArgument' });
  });
});
