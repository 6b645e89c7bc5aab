import { execFileSync } from 'node:child_process';
import { isHoldfastError } from 'holdfast';
import type { Scenario } from '../scenario.js';

export const overload: Scenario = {
  name: 'overload',
  what: '100 times the calls that an instance takes, of 8 clients at once; its neighbours go on',
  isShort: true,
  setup: {},
  run: async (world) => {
    const taken = 3 + 10;
    const clients = Array.from({ length: 8 }, () => world.newClient());
    const narrows = await Promise.all(
      clients.map(async (client) => (await world.remote(client)).Narrow.named('narrow')),
    );
    await Promise.all(narrows.map((narrow) => narrow.pass(0)));
    const calls = narrows.flatMap((narrow) =>
      Array.from({ length: Math.ceil((100 * taken) / narrows.length) }, () => narrow.pass(5_000)),
    );
    const results = await Promise.all(
      calls.map((call) =>
        call.then(
          (most) => most,
          (error: unknown) => (isHoldfastError(error) ? error.code : String(error)),
        ),
      ),
    );
    const refused = results.filter((result) => result === 'PendingLimitExceeded').length;
    const most = Math.max(...results.filter((result) => typeof result === 'number'));
    if (most > 3) throw new Error(`${most} calls ran at once, the limit is 3`);
    if (results.length - refused !== taken)
      throw new Error(`of ${results.length} calls ${refused} were refused, expected all but ${taken}`);
    await world.calm();
    return `${refused} of ${results.length} refused`;
  },
};

export const racing: Scenario = {
  name: 'close-attach-named',
  what: '64 clients make, attach, call and close the same four names',
  setup: { instances: 4 },
  run: async (world) => {
    const clients = Array.from({ length: 64 }, () => world.newClient());
    const expected = new Set(['ok', 'InstanceClosed', 'InstanceGone', 'PendingLimitExceeded', 'OutcomeUnknown']);
    const seen = new Map<string, number>();
    const outcome = async (action: Promise<unknown>): Promise<void> => {
      const code = await action.then(
        () => 'ok',
        (error: unknown) => (isHoldfastError(error) ? error.code : String(error)),
      );
      seen.set(code, (seen.get(code) ?? 0) + 1);
    };
    await Promise.all(
      clients.map(async (client, i) => {
        const remote = await world.remote(client);
        for (let round = 0; round < 6; round++) {
          const id = `raced-${(i + round) % 4}`;
          const ledger = await remote.Ledger.named(id);
          const call = outcome(ledger.append(`raced/${i}/${round}`));
          const attached = await remote.Ledger.attach(ledger.handle).catch(() => null);
          if (attached !== null) await outcome(attached.put(`raced/${i}/${round}/put`));
          if ((i + round) % 3 === 0) await outcome(ledger.close());
          await call;
        }
      }),
    );
    const others = [...seen.keys()].filter((code) => !expected.has(code));
    if (others.length > 0) throw new Error(`calls ended with ${others.join(', ')}`);
    return [...seen].map(([code, count]) => `${code} ${count}`).join(', ');
  },
};

export const slowReader: Scenario = {
  name: 'slow-reader',
  what: 'a client reads a generator of 200 000 values one by one and stops in between; the others go on',
  setup: {},
  run: async (world) => {
    const ledger = await (await world.remote(world.newClient())).Ledger.named('read-slowly');
    let expected = 0;
    for await (const value of ledger.values(200_000)) {
      if (value !== expected) throw new Error(`value ${value} came where ${expected} was expected`);
      expected += 1;
      if (expected % 20_000 === 0) await world.calm(300);
    }
    if (expected !== 200_000) throw new Error(`${expected} values came`);
    return `${expected} values in their order`;
  },
};

export const diskFull: Scenario = {
  name: 'disk-full',
  what: 'the data folder of a worker is full for 10 s',
  needsRoot: true,
  setup: { workers: 1 },
  run: async (world) => {
    const data = world.site.fileOf('data-worker1');
    await world.workers[0]?.kill();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', data]);
    try {
      await world.fault(() => world.workers[0]?.restart() ?? Promise.resolve());
      // It ends where the folder has no room left.
      execFileSync('sh', ['-c', `cat /dev/zero > ${data}/filler 2>/dev/null || true`]);
      await world.calm(10_000);
      execFileSync('rm', [`${data}/filler`]);
      await world.calm();
      await world.workers[0]?.kill();
    } finally {
      execFileSync('umount', ['-l', data]);
    }
    return 'calls go on';
  },
};

/** The loss of a worker that has 10 000 instances, all that there are but those of the load. */
function tenThousand(
  name: string,
  what: string,
  more: { readonly leaseTtlMs: number; readonly isHost: boolean },
): Scenario {
  return {
    name,
    what,
    setup: { instances: 2, workers: 1, leaseTtlMs: more.leaseTtlMs },
    run: async (world) => {
      const { Light } = await world.remote(world.newClient());
      const lights = Array.from({ length: 10_000 }, (_, i) => Light.named(`light-${i}`));
      const made = await Promise.all(lights);
      await Promise.all(made.map((light) => light.ping.with({ timeoutMs: 120_000 })()));
      await world.startWorker();
      const [worker] = world.workers;
      if (worker === undefined) throw new Error('there is no worker');
      const answers: number[] = [];
      await world.fault(async () => {
        const from = performance.now();
        await (more.isHost ? world.loseHost(worker) : worker.kill());
        const ping = async (light: (typeof made)[number]): Promise<void> => {
          await light.ping.with({ timeoutMs: 120_000 })();
          answers.push(performance.now() - from);
        };
        await Promise.all(made.map(ping));
      });
      const homes = await Promise.all(made.slice(0, 100).map(async (light) => (await light.inspect()).workerId));
      if (homes.includes(worker.name)) throw new Error('instances are at the worker that was lost');
      await worker.restart();
      await world.calm();
      const seconds = [0.5, 0.99, 1].map((part) => (answers[Math.ceil(part * answers.length) - 1] ?? 0) / 1_000);
      return `of 10 000 half, 99 % and all answer after ${seconds.map((each) => each.toFixed(1)).join(', ')} s`;
    },
  };
}

export const tenThousandOfWorker = tenThousand(
  'ten-thousand',
  'kill -9 of a worker that has 10 000 instances, its watchdog lives',
  { leaseTtlMs: 6_000, isHost: false },
);

export const tenThousandOfHost = tenThousand(
  'ten-thousand-15s',
  'kill -9 of a worker that has 10 000 instances and of its watchdog, with the default lease of 15 s',
  { leaseTtlMs: 15_000, isHost: true },
);
