import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Client } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Receipt } from '../fixtures/ledger-app.js';
import { type ClientProcess, clientProcess, runLedgerClient } from './client-process.js';

const clients = 32;
const instances = Array.from({ length: 200 }, (_, i) => `ledger-${i}`);
const instancesPerClient = 25;
const callsPerInstance = 12;

/** Each client has its own window of instances; every instance is shared by four clients. */
function plan(client: number): string[] {
  return Array.from(
    { length: instancesPerClient },
    (_, i) => instances[(client * instancesPerClient + i) % instances.length] as string,
  );
}

/** Only together do the clients know how many were refused; which of them were is chance. */
async function refusedInAll(bursts: readonly ClientProcess[], wanted: number): Promise<void> {
  let seen = 0;
  await new Promise<void>((resolve, reject) => {
    const count = async (burst: ClientProcess): Promise<void> => {
      while (await burst.nextLine('refused')) if (++seen === wanted) resolve();
    };
    for (const burst of bursts) count(burst).catch(reject);
  });
}

describe('2 routers, 3 workers, real NATS and Redis', () => {
  let folder: string;
  let events: string;
  let cluster: TestCluster;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-system-'));
    events = join(folder, 'events.jsonl');
    cluster = await startCluster({ mode: 'real', routers: 2, workers: 3, env: { LEDGER_EVENTS: events } });
    await cluster.deploy(new URL('../fixtures/ledger-app.ts', import.meta.url));
  }, 120_000);

  afterAll(async () => {
    await cluster?.close();
    await rm(folder, { recursive: true, force: true });
  }, 60_000);

  it('answers every call of 32 client processes once, in order, with no state lost or mixed', async () => {
    const results = await Promise.all(
      Array.from({ length: clients }, (_, i) =>
        runLedgerClient(cluster, { caller: `client-${i}`, instances: plan(i), calls: callsPerInstance }),
      ),
    );
    expect(results.flatMap((result) => result.errors)).toEqual([]);

    const receiptsOf = new Map<string, Receipt[]>();
    for (const [i, result] of results.entries()) {
      for (const id of plan(i)) {
        const receipts = result.receipts[id] ?? [];
        expect(receipts.map((r) => r.number)).toEqual(Array.from({ length: callsPerInstance }, (_, n) => n + 1));
        expect(receipts.map((r) => r.previous)).toEqual(Array.from({ length: callsPerInstance }, (_, n) => n));
        receiptsOf.set(id, [...(receiptsOf.get(id) ?? []), ...receipts]);
      }
    }
    for (const [id, receipts] of receiptsOf) {
      expect(new Set(receipts.map((r) => r.id))).toEqual(new Set([id]));
      expect(new Set(receipts.map((r) => r.epoch)).size).toBe(1);
      expect(receipts.every((r) => r.entered && r.runningAtOnce === 1 && !r.restarted)).toBe(true);
      const counts = receipts.map((r) => r.count).sort((a, b) => a - b);
      expect(counts).toEqual(Array.from({ length: receipts.length }, (_, n) => n + 1));
    }
    expect(receiptsOf.size).toBe(instances.length);
  });

  it('admits exactly concurrentRequests + maxPendingTasks calls of 8 client processes and counts the others as refused', async () => {
    const remote = await App.lookup<typeof import('../fixtures/ledger-app.js')>('ledger-test', {
      client: cluster.client,
    });
    const narrow = await remote.Narrow.named('narrow');
    await narrow.seen();
    const bursts = Array.from({ length: 8 }, () => clientProcess(cluster, 'burst-client.mjs', ['narrow', '40']));
    for (const burst of bursts) await burst.line('ready');
    for (const burst of bursts) burst.write('go\n');
    const refused = 8 * 40 - (2 + 5);
    await refusedInAll(bursts, refused);
    expect(await narrow.seen()).toEqual({ running: 2, most: 2, ran: 2 });
    expect(await narrow.inspect()).toMatchObject({ running: 2, pending: 5 });
    await narrow.open();
    const ended = (await Promise.all(bursts.map((burst) => burst.rest()))).flatMap(
      (text) =>
        JSON.parse(text.split('\n').find((line) => line.startsWith('[')) ?? '[]') as {
          ok: boolean;
          most?: number;
          code?: string;
        }[],
    );
    expect(ended.filter((e) => e.ok)).toHaveLength(7);
    expect(ended.filter((e) => e.code === 'PendingLimitExceeded')).toHaveLength(refused);
    expect(Math.max(...ended.map((e) => e.most ?? 0))).toBe(2);
  });

  it('S13: has names that are nearly all new made by their workers, where any other client finds them', async () => {
    const remote = await App.lookup<typeof import('../fixtures/ledger-app.js')>('ledger-test', {
      client: cluster.client,
    });
    const explained: { readonly to: string; readonly why: string }[][] = [];
    for (let i = 0; i < 40; i += 1) {
      const instance = await remote.Fragile.named(`new-${i}`);
      const { id, count, entered } = await instance.append('client', 1);
      expect({ id, count, entered }).toEqual({ id: `new-${i}`, count: 1, entered: true });
      explained.push([...(await instance.explain()).transitions]);
    }
    const made = explained.filter(([first]) => first?.why === 'made by its worker');
    expect(made.length).toBeGreaterThan(10);
    expect(made.every(([first]) => first?.to === 'active')).toBe(true);
    await using other = new Client({ endpoint: cluster.endpoint, token: cluster.token });
    const again = await App.lookup<typeof import('../fixtures/ledger-app.js')>('ledger-test', { client: other });
    for (let i = 0; i < 40; i += 1) {
      const instance = await again.Fragile.named(`new-${i}`);
      expect(await instance.append('other', 1)).toMatchObject({ count: 2 });
      expect(await (await remote.Fragile.attach(instance.handleJson)).append('client', 2)).toMatchObject({ count: 3 });
      await instance.close();
    }
  });

  it('runs enter once before and exit once after the calls of each instance', async () => {
    const remote = await App.lookup<typeof import('../fixtures/ledger-app.js')>('ledger-test', {
      client: cluster.client,
    });
    await Promise.all(instances.map((id) => remote.Ledger.closeNamed(id)));
    const lines = (await readFile(events, 'utf8')).trim().split('\n');
    const seen = lines.map((line) => JSON.parse(line) as { event: string; id: string });
    for (const id of instances) {
      expect(seen.filter((e) => e.id === id).map((e) => e.event)).toEqual(['enter', 'exit']);
    }
  });
});
