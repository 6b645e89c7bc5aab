import { setTimeout as delay } from 'node:timers/promises';
import { type Hosts, here } from '../hosts.js';
import type { Scenario } from '../scenario.js';

/** Every server, router and worker is on a host of its own; the clients are here. */
const setup = { hosts: true };
const servers = ['redis', 'nats', 'router'];
const cutForMs = 12_000;

type Way = readonly [from: string, to: string];

function networkScenario(name: string, what: string, harm: (hosts: Hosts, worker: string) => Promise<void>): Scenario {
  return {
    name,
    what,
    needsRoot: true,
    setup,
    run: async (world) => {
      const { hosts } = world.site;
      if (hosts === null) throw new Error('this world has no hosts');
      const { worker, instances } = await world.victim();
      await world.fault(() => harm(hosts, worker.name));
      await world.calm();
      return `${instances} instances were there`;
    },
  };
}

/** Loses what is sent from the one to the other of each pair, for that long. */
function cutting(ms: number, ways: (worker: string, hosts: Hosts) => readonly Way[]) {
  return async (hosts: Hosts, worker: string): Promise<void> => {
    for (const [from, to] of ways(worker, hosts)) hosts.cut(from, to);
    await delay(ms);
    hosts.heal();
  };
}

/** Between each of the one and each of the other. */
function bothWays(some: readonly string[], others: readonly string[]): Way[] {
  return some.flatMap((one) =>
    others.flatMap((other): Way[] => [
      [one, other],
      [other, one],
    ]),
  );
}

export const hostIsolated = networkScenario(
  'host-isolated',
  'the host of a worker loses its network for 12 s',
  async (hosts, worker) => {
    hosts.isolate(worker);
    await delay(cutForMs);
    hosts.rejoin(worker);
  },
);

export const cutFromServers = networkScenario(
  'worker-cut-from-servers',
  'a worker loses Redis, NATS and the routers, and they lose it, for 12 s; clients reach both',
  cutting(cutForMs, (worker, hosts) => bothWays([worker], hosts.named(...servers))),
);

export const cutFromRedis = networkScenario(
  'worker-cut-from-redis',
  'a worker and Redis lose each other for 12 s',
  cutting(cutForMs, (worker, hosts) => bothWays([worker], hosts.named('redis'))),
);

export const cutFromNats = networkScenario(
  'worker-cut-from-nats',
  'a worker and NATS lose each other for 12 s',
  cutting(cutForMs, (worker, hosts) => bothWays([worker], hosts.named('nats'))),
);

export const cutFromRouters = networkScenario(
  'worker-cut-from-routers',
  'a worker and the routers lose each other for 12 s',
  cutting(cutForMs, (worker, hosts) => bothWays([worker], hosts.named('router'))),
);

export const routerCutFromRedis = networkScenario(
  'router-cut-from-redis',
  'one of the routers and Redis lose each other for 12 s',
  cutting(cutForMs, (_worker, hosts) => bothWays(['router1'], hosts.named('redis'))),
);

export const cutOneWay = networkScenario(
  'cut-one-way',
  'what a worker sends to Redis, NATS and the routers is lost for 12 s, what they send arrives',
  cutting(cutForMs, (worker, hosts) => hosts.named(...servers).map((server): Way => [worker, server])),
);

export const cutOneWayBack = networkScenario(
  'cut-one-way-back',
  'what Redis, NATS and the routers send to a worker is lost for 12 s, what it sends arrives',
  cutting(cutForMs, (worker, hosts) => hosts.named(...servers).map((server): Way => [server, worker])),
);

export const cutFromClients = networkScenario(
  'cut-from-clients',
  'clients and a worker lose each other for 8 s, both reach the routers',
  cutting(8_000, (worker) => bothWays([here], [worker])),
);

export const flapping = networkScenario(
  'link-flaps',
  'the link of a worker goes and comes every 700 ms for 15 s',
  async (hosts, worker) => {
    for (let i = 0; i < 11; i++) {
      hosts.isolate(worker);
      await delay(700);
      hosts.rejoin(worker);
      await delay(700);
    }
  },
);

/** The host of the master, and others that have one of everything; the majority is elsewhere. */
const minority = ['redis1', 'sentinel1', 'nats1', 'router1', 'worker1'];

export const masterIsolated: Scenario = {
  name: 'redis-master-isolated',
  what: 'the master of Redis, a router, a worker and a node of NATS lose the others for 40 s; SDK clients reach both sides',
  needsRoot: true,
  setup: { hosts: true, sentinel: true, natsNodes: 3, leaseTtlMs: 15_000 },
  run: async (world) => {
    const { hosts } = world.site;
    if (hosts === null) throw new Error('this world has no hosts');
    const all = hosts.named('');
    await world.fault(async () => {
      for (const [from, to] of bothWays(
        minority,
        all.filter((name) => !minority.includes(name)),
      ))
        hosts.cut(from, to);
      await delay(40_000);
      hosts.heal();
    });
    await (await (await world.remote(world.newClient())).Ledger.named('after-isolation')).total();
    await world.calm();
    return `${minority.length} of ${all.length} hosts`;
  },
};
