import type { Command } from 'commander';
import type { FunctionCall, FunctionCallExplanation } from '../../sdk/calls/function-call.js';
import { preciseDuration, shortDuration } from '../output/durations.js';
import { toJson } from '../output/json-value.js';
import { withProgress } from '../output/progress.js';
import { tableLines } from '../output/table.js';
import { valueText } from '../output/value.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { type ConnectionOptions, type JsonOption, positiveNumber, withConnection } from './options.js';
import { parseClassReference } from './references.js';
import { TimeLimit } from './time-limit.js';

interface CallsOptions extends ConnectionOptions, JsonOption {}

const examples = `
Examples:
  holdfast call demo/Jobs queue render '["a.png"]' --spawn
  holdfast calls ls demo/Jobs queue
  holdfast calls get fc-…`;

/** `holdfast calls ls|get|status|cancel` */
export function registerCalls(program: Command, context: CommandContext): void {
  const calls = program
    .command('calls')
    .description('spawned calls: list, fetch, explain, cancel')
    .helpCommand(false)
    .addHelpText('after', examples);
  withConnection(
    calls
      .command('ls')
      .description('calls of one instance: the open ones, and those that ended last')
      .argument('<app/class>')
      .argument('<instance>', 'its id')
      .option('--limit <n>', 'at most so many', positiveNumber, 100),
  ).action(async (reference: string, id: string, options: CallsOptions & { readonly limit: number }) =>
    listCalls({ reference, id }, options, context),
  );
  withConnection(
    calls
      .command('get')
      .description('print its result, once it has one')
      .argument('<call-id>')
      .option('--timeout <ms>', 'give up after this long; the call goes on', positiveNumber),
  ).action(async (id: string, options: CallsOptions & { readonly timeout?: number }) => getCall(id, options, context));
  withConnection(
    calls.command('status').description('what has become of it, and what it waits for').argument('<call-id>'),
  ).action(async (id: string, options: CallsOptions) => showCall(id, options, context));
  withConnection(calls.command('cancel').description('stop it, or keep it from running').argument('<call-id>')).action(
    async (id: string, options: CallsOptions) => cancelCall(id, options, context),
  );
}

async function listCalls(
  target: { readonly reference: string; readonly id: string },
  options: CallsOptions & { readonly limit: number },
  context: CommandContext,
): Promise<void> {
  const { app, className } = parseClassReference(target.reference);
  const connection = findConnection(options, context.env);
  const { routerMethods, withRouter } = await import('./router-access.js');
  const question = { instance: { app, className, id: target.id }, limit: options.limit };
  const { calls } = await withRouter(connection, context, (router) => router.ask(routerMethods.listSpawned, question));
  const { terminal, clock } = context;
  if (options.json) {
    const shown = calls.map(({ answer: _, where: __, instance: ___, ...call }) => call);
    return terminal.print(toJson(shown));
  }
  if (calls.length === 0) return terminal.note('no calls');
  const rows = calls.map(({ id, method, state, attempt, spawnedAtMs, startedAtMs, endedAtMs }) => [
    id,
    method,
    state,
    String(attempt),
    shortDuration(clock.now() - spawnedAtMs),
    startedAtMs === undefined ? '-' : preciseDuration(Math.max(0, (endedAtMs ?? clock.now()) - startedAtMs)),
  ]);
  for (const line of tableLines(columns, rows, terminal)) terminal.print(line);
}

const columns = [
  { title: 'ID' },
  { title: 'METHOD', shrinksTo: 8 },
  { title: 'STATE' },
  { title: 'ATTEMPT', align: 'right' },
  { title: 'SPAWNED', align: 'right' },
  { title: 'RAN', align: 'right' },
] as const;

async function getCall(
  id: string,
  options: CallsOptions & { readonly timeout?: number },
  context: CommandContext,
): Promise<void> {
  const { terminal, signal } = context;
  const limit = new TimeLimit(options.timeout, context);
  const what = `call ${id}`;
  await withCall(id, { options, context }, async (call) => {
    const left = limit.left({ what, outcome: 'unknown' });
    const result = await withProgress(`waiting for ${what}`, context, () => call.get({ signal, ...left }));
    if (options.json) terminal.print(toJson(result));
    else if (result !== undefined) terminal.print(valueText(result, terminal));
  });
}

async function showCall(id: string, options: CallsOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  await withCall(id, { options, context }, async (call) => {
    const explained = await call.explain();
    if (options.json) terminal.print(toJson({ id, ...explained }));
    else for (const line of statusLines(id, explained, terminal)) terminal.print(line);
  });
}

function statusLines(id: string, explained: FunctionCallExplanation, terminal: CommandContext['terminal']): string[] {
  const { status, method, attempt, losses, waitsFor, phasesMs, instance } = explained;
  const phases = Object.entries(phasesMs).map(([name, ms]) => `${name} ${preciseDuration(ms)}`);
  const fields: [string, string][] = [
    ['method', method],
    ['attempt', losses === 0 ? String(attempt) : `${attempt}, put back ${losses} times`],
    ...(waitsFor === null ? [] : [['waits for', waitsFor] as [string, string]]),
    ['phases', phases.join(', ') || '-'],
    ['instance', instance === null ? 'gone' : `${instance.info.id}, ${instance.info.state}`],
    ['worker', instance?.info.workerId ?? '-'],
  ];
  return [
    `${terminal.paint('bold', id)}  ${status}`,
    ...fields.map(([name, text]) => `  ${terminal.paint('dim', name.padEnd(12))}  ${text}`),
  ];
}

async function cancelCall(id: string, options: CallsOptions, context: CommandContext): Promise<void> {
  await withCall(id, { options, context }, async (call) => {
    const outcome = await call.cancel();
    context.terminal.print(options.json ? toJson({ id, outcome }) : outcome);
  });
}

async function withCall(
  id: string,
  { options, context }: { readonly options: CallsOptions; readonly context: CommandContext },
  work: (call: FunctionCall) => Promise<void>,
): Promise<void> {
  const connection = findConnection(options, context.env);
  const [{ withClient }, { FunctionCall }] = await Promise.all([
    import('./client-access.js'),
    import('../../sdk/calls/function-call.js'),
  ]);
  await withClient(connection, async (client) => work(await FunctionCall.fromId(id, { client })));
}
