import { setTimeout as delay } from 'node:timers/promises';
import type { Hosts } from '../hosts.js';
import type { Scenario } from '../scenario.js';

const leaseTtlMs = 6_000;
/** The servers and routers are on the first host, each worker on one of its own; the clients are here. */
const [here, servers] = [0, 1] as const;
const cutForMs = 12_000;

function networkScenario(name: string, what: string, harm: (hosts: Hosts, worker: number) => Promise<void>): Scenario {
  return {
    name,
    what,
    needsRoot: true,
    setup: { leaseTtlMs, hosts: true },
    run: async (world) => {
      const { hosts } = world;
      if (hosts === null) throw new Error('this world has no hosts');
      const { host, instances } = await world.victim();
      await world.fault(() => harm(hosts, host));
      await world.calm();
      return `${instances} instances were there`;
    },
  };
}

/** Loses what is sent from the one to the other of each pair, for that long. */
function cutting(ms: number, ways: (worker: number) => readonly (readonly [from: number, to: number])[]) {
  return async (hosts: Hosts, worker: number): Promise<void> => {
    for (const [from, to] of ways(worker)) hosts.cut(from, to);
    await delay(ms);
    for (const [from, to] of ways(worker)) hosts.heal(from, to);
  };
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
  'a worker and the host of Redis, NATS and the routers lose each other for 12 s; clients reach both',
  cutting(cutForMs, (worker) => [
    [worker, servers],
    [servers, worker],
  ]),
);

export const cutOneWay = networkScenario(
  'cut-one-way',
  'what a worker sends to Redis, NATS and the routers is lost for 12 s, what they send arrives',
  cutting(cutForMs, (worker) => [[worker, servers]]),
);

export const cutOneWayBack = networkScenario(
  'cut-one-way-back',
  'what Redis, NATS and the routers send to a worker is lost for 12 s, what it sends arrives',
  cutting(cutForMs, (worker) => [[servers, worker]]),
);

export const cutFromClients = networkScenario(
  'cut-from-clients',
  'clients and a worker lose each other for 8 s, both reach the routers',
  cutting(8_000, (worker) => [
    [here, worker],
    [worker, here],
  ]),
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
