import type { Command } from 'commander';
import { shortDuration } from '../output/durations.js';
import { toJson } from '../output/json-value.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { workerDocument } from './documents.js';
import { type ConnectionOptions, type JsonOption, withConnection } from './options.js';

const offerFields = ['cpuCores', 'cpuRamGb', 'gpu', 'gpuCount', 'geolocation', 'costPerHourUsd'];

/** `holdfast workers` */
export function registerWorkers(program: Command, context: CommandContext): void {
  withConnection(program.command('workers').description('list the workers of the cluster')).action(
    async (options: ConnectionOptions & JsonOption) => listWorkers(options, context),
  );
}

async function listWorkers(options: ConnectionOptions & JsonOption, context: CommandContext): Promise<void> {
  const { routerMethods, withRouter } = await import('./router-access.js');
  const connection = findConnection(options, context.env);
  const { workers } = await withRouter(connection, context, (router) => router.ask(routerMethods.listWorkers, {}));
  const { terminal } = context;
  if (options.json) return terminal.print(toJson(workers.map(workerDocument)));
  if (workers.length === 0) return terminal.note('no workers: start one with `holdfast worker`');
  const { tableLines } = await import('../output/table.js');
  const rows = workers.map((worker) => [
    worker.id,
    stateText(worker.state, context),
    String(worker.instances),
    String(worker.containers),
    worker.address,
    shortDuration(worker.leaseAgeMs),
    offerText(workerDocument(worker)['offer'] as Record<string, unknown>),
  ]);
  for (const line of tableLines(columns, rows, terminal)) terminal.print(line);
}

const columns = [
  { title: 'WORKER', shrinksTo: 12 },
  { title: 'STATE' },
  { title: 'INST', align: 'right' },
  { title: 'CONT', align: 'right' },
  { title: 'ADDRESS', shrinksTo: 12 },
  { title: 'LEASE' },
  { title: 'OFFER', shrinksTo: 12 },
] as const;

function offerText(offer: Record<string, unknown>): string {
  return offerFields
    .filter((name) => offer[name] !== undefined)
    .map((name) => `${name}=${offer[name]}`)
    .join(' ');
}

function stateText(state: string, { terminal }: CommandContext): string {
  return terminal.paint(state === 'ready' ? 'green' : state === 'lost' ? 'red' : 'yellow', state);
}
