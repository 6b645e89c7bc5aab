import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/adapters/system/clock.js';
import type { LookupRequest } from '../../src/wire/gen/holdfast/v1/router.js';
import {
  channelHandler,
  createGrpcServer,
  listenGrpc,
  routerService,
  stopGrpcServer,
  workerService,
} from '../../src/wire/grpc/grpc-server.js';
import './scripted-app.js';
import { ScriptedCluster } from './scripted-cluster.js';

const cluster = new ScriptedCluster();
const server = createGrpcServer();
/** What was shown to the router, and to the worker. */
const tokens = { router: new Set<string | null>(), worker: new Set<string | null>() };
let endpoint: string;

beforeAll(async () => {
  const authorize =
    (seen: Set<string | null>) =>
    ({ token }: { readonly token: string | null }) =>
      seen.add(token);
  const router = channelHandler({
    authorize: authorize(tokens.router),
    accept: (channel) => cluster.serveRouter(channel),
  });
  const lookup = (call: { request: LookupRequest }, answer: (error: null, reply: unknown) => void): void => {
    answer(null, cluster.deployment(call.request));
  };
  server.addService(routerService, { control: router, lookup });
  const accept = (channel: Parameters<typeof cluster.serveRouter>[0]) => cluster.place.worker.accept(channel);
  server.addService(workerService, { calls: channelHandler({ authorize: authorize(tokens.worker), accept }) });
  endpoint = `127.0.0.1:${await listenGrpc(server, '127.0.0.1:0')}`;
  cluster.place = { worker: cluster.worker(endpoint), epoch: 10 };
});

afterAll(async () => {
  await stopGrpcServer(server, systemClock, 0);
  await cluster.client.close();
});

function run(argument: string): Promise<string> {
  const program = fileURLToPath(new URL('./fixtures/exiting-program.mjs', import.meta.url));
  const env = { PATH: process.env['PATH'], HOLDFAST_ENDPOINT: endpoint, HOLDFAST_TOKEN: 'secret' };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [program, argument], { env, timeout: 30_000 }, (error, stdout, stderr) => {
      if (error !== null) reject(new Error(`${error.message}: ${stderr}`));
      else resolve(stdout);
    });
  });
}

test('a program with idle connections ends by itself, one that waits for an answer gets it first', async () => {
  cluster.place.worker.onCall = (call) => {
    if (call.isGenerator) call.yields('first');
    // Long enough for a process to notice that nothing keeps it.
    else systemClock.after(500, () => call.result(`answer to ${String(call.args[0])}`));
  };
  expect(await run('a question')).toBe('answer to a question\nfirst\n');
  expect([...tokens.router]).toEqual(['secret']);
  expect([...tokens.worker]).toEqual([null]);
});
