import type { Command } from 'commander';
import type { ExplainView, InspectReply, InstanceView } from '../../wire/gen/holdfast/v1/router.js';
import { preciseDuration, shortDuration } from '../output/durations.js';
import { instanceStateText } from '../output/instance-state.js';
import { toJson } from '../output/json-value.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { explanationDocument, instanceDocument } from './documents.js';
import { type ConnectionOptions, type JsonOption, withConnection } from './options.js';
import { parseClassReference } from './references.js';

interface InspectOptions extends ConnectionOptions, JsonOption {
  readonly explain?: boolean;
}

/** `holdfast inspect APP/CLASS INSTANCE` */
export function registerInspect(program: Command, context: CommandContext): void {
  const command = program
    .command('inspect')
    .description('show one instance')
    .argument('<app/class>')
    .argument('<instance>', 'its id')
    .option('--explain', 'why it is where it is: placement, lease, history');
  withConnection(command).action(async (reference: string, id: string, options: InspectOptions) =>
    inspectInstance({ reference, id }, options, context),
  );
}

async function inspectInstance(
  target: { readonly reference: string; readonly id: string },
  options: InspectOptions,
  context: CommandContext,
): Promise<void> {
  const { app, className } = parseClassReference(target.reference);
  const connection = findConnection(options, context.env);
  const { present, routerMethods, withRouter } = await import('./router-access.js');
  const question = { instance: { app, className, id: target.id }, explain: options.explain === true, generation: 0 };
  const reply = await withRouter(connection, context, (router) => router.ask(routerMethods.inspect, question));
  const instance = present(reply.instance, 'an instance');
  const { terminal } = context;
  if (options.json) return terminal.print(toJson(documentOf(instance, reply)));
  for (const line of instanceLines(instance, context)) terminal.print(line);
  if (reply.explain) for (const line of explanationLines(reply.explain, context)) terminal.print(line);
}

function documentOf(instance: InstanceView, { explain }: InspectReply): Record<string, unknown> {
  const info = instanceDocument(instance);
  return explain ? { info, ...explanationDocument(explain) } : info;
}

function instanceLines(instance: InstanceView, { terminal, clock }: CommandContext): string[] {
  const ago = (atMs: number | undefined): string =>
    atMs === undefined ? 'never' : `${shortDuration(clock.now() - atMs)} ago`;
  const fields: [string, string][] = [
    ['worker', instance.workerId ?? '-'],
    ['running', `${instance.running}, waiting ${instance.pending}`],
    ['deployment', String(instance.deployment)],
    ['made', ago(instance.createdAtMs)],
    ['last call', ago(instance.lastCallAtMs)],
    ['restarts', String(instance.restarts)],
    ['epoch', `${instance.epoch}, generation ${instance.generation}`],
  ];
  const title = terminal.paint('bold', `${instance.app}/${instance.name}/${instance.id}`);
  return [
    `${title}  ${instanceStateText(instance.state, terminal)}`,
    ...fields.map((field) => fieldLine(field, terminal)),
  ];
}

function explanationLines(explain: ExplainView, { terminal }: CommandContext): string[] {
  const phases = Object.entries(explain.phasesMs).map(([name, ms]) => `${name} ${preciseDuration(ms)}`);
  const fields: [string, string][] = [
    ['placed on', `${explain.chosen || '-'}, score ${explain.score.toFixed(2)}`],
    ...explain.rejected.map(({ workerId, why }): [string, string] => ['not on', `${workerId}: ${why}`]),
    ['lease age', preciseDuration(explain.leaseAgeMs)],
    ...(phases.length > 0 ? [['phases', phases.join(', ')] as [string, string]] : []),
    ...explain.transitions.map(({ atMs, from, to, why }): [string, string] => [
      new Date(atMs).toISOString().slice(11, 23),
      `${from} → ${to}: ${why}`,
    ]),
  ];
  return fields.map((field) => fieldLine(field, terminal));
}

function fieldLine([name, text]: readonly [string, string], terminal: CommandContext['terminal']): string {
  return `  ${terminal.paint('dim', name.padEnd(12))}  ${text}`;
}
