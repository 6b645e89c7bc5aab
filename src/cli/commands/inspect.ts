import type { Command } from 'commander';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { ExplainView, InspectReply, InstanceView, PoolView } from '../../wire/gen/holdfast/v1/router.js';
import { preciseDuration, shortDuration } from '../output/durations.js';
import { instanceStateText } from '../output/instance-state.js';
import { toJson } from '../output/json-value.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { explanationDocument, instanceDocument, objectOf, parseObject } from './documents.js';
import { type ConnectionOptions, type JsonOption, withConnection } from './options.js';
import { parseClassReference } from './references.js';
import type { RouterAccess } from './router-access.js';

interface InspectOptions extends ConnectionOptions, JsonOption {
  readonly explain?: boolean;
}

/** `holdfast inspect APP/CLASS INSTANCE`, `holdfast inspect APP/FUNCTION` */
export function registerInspect(program: Command, context: CommandContext): void {
  const command = program
    .command('inspect')
    .description('show one instance, or a function as it is deployed')
    .argument('<app/class>')
    .argument('[instance]', 'its id; of a function: the one that runs its calls')
    .option('--explain', 'why it is where it is: placement, lease, history');
  withConnection(command).action(async (reference: string, id: string | undefined, options: InspectOptions) =>
    inspectInstance({ reference, id }, options, context),
  );
}

async function inspectInstance(
  target: { readonly reference: string; readonly id: string | undefined },
  options: InspectOptions,
  context: CommandContext,
): Promise<void> {
  const { app, className } = parseClassReference(target.reference);
  const connection = findConnection(options, context.env);
  const { present, routerMethods, withRouter } = await import('./router-access.js');
  const reply = await withRouter(connection, context, async (router) => {
    const explain = options.explain === true;
    if (target.id === undefined) return await inspectFunction(router, { app, className, explain });
    const instance = { app, className, id: target.id };
    return await router.ask(routerMethods.inspect, { instance, explain, generation: 0 });
  });
  const instance = present(reply.instance, 'an instance');
  const { terminal } = context;
  if (options.json) return terminal.print(toJson(documentOf(instance, reply)));
  for (const line of instanceLines(instance, context)) terminal.print(line);
  if (reply.explain) for (const line of explanationLines(reply.explain, context)) terminal.print(line);
}

/** @throws InvalidArgument where it is no function, NotFound where it has not been called as it is deployed */
async function inspectFunction(
  router: RouterAccess,
  { app, className, explain }: { readonly app: string; readonly className: string; readonly explain: boolean },
): Promise<InspectReply> {
  const { routerMethods } = await import('./router-access.js');
  const { functionInstanceId } = await import('../../sdk/functions/function-instance.js');
  const { version, manifestJson } = await router.ask(routerMethods.lookup, { app, version: 0 });
  const classes = objectOf(parseObject(manifestJson)['classes']);
  if (objectOf(classes[className])['kind'] !== 'function') {
    throw new HoldfastError(
      'InvalidArgument',
      `${app}/${className} is no function of deployment ${version}: give the id of an instance, \`holdfast ps ${app}/${className}\` lists them`,
    );
  }
  const instance = { app, className, id: functionInstanceId(version) };
  try {
    return await router.ask(routerMethods.inspect, { instance, explain, generation: 0 });
  } catch (cause) {
    if (!isHoldfastError(cause, 'NotFound')) throw cause;
    const message = `function ${app}/${className} has not been called as deployment ${version}: call it once, then inspect it`;
    throw new HoldfastError('NotFound', message, { details: { app, function: className, version }, cause });
  }
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
    ...(explain.kept.length > 0 ? [['preferred', `it had ${explain.kept.join(', ')}`] as [string, string]] : []),
    ...explain.rejected.map(({ workerId, why }): [string, string] => ['not on', `${workerId}: ${why}`]),
    ['lease age', preciseDuration(explain.leaseAgeMs)],
    ...(phases.length > 0 ? [['phases', phases.join(', ')] as [string, string]] : []),
    ...(explain.pool === undefined ? [] : poolFields(explain.pool)),
    ...explain.transitions.map(({ atMs, from, to, why }): [string, string] => [
      new Date(atMs).toISOString().slice(11, 23),
      `${from} → ${to}: ${why}`,
    ]),
  ];
  return fields.map((field) => fieldLine(field, terminal));
}

function poolFields(pool: PoolView): [string, string][] {
  const { containers, maxContainers, slots, waitingForSlot, waitingForContainer, whyWaiting, begun, waitedMs } = pool;
  const each = containers.map(({ workerId, state, running, phasesMs }): [string, string] => {
    const phases = Object.entries(phasesMs).map(([name, ms]) => `${name} ${preciseDuration(ms)}`);
    return ['container', [`${workerId || '-'}, ${state}, runs ${running}`, ...phases].join(', ')];
  });
  const waited = Object.entries(waitedMs).map(([name, ms]) => `${preciseDuration(ms / begun)} for a ${name}`);
  return [
    ['pool', `${containers.length} of ${maxContainers} containers, ${slots} slots`],
    ...each,
    ['waiting', `${waitingForSlot} for a slot, ${waitingForContainer} for a container`],
    ...(whyWaiting === '' ? [] : [['because', whyWaiting] as [string, string]]),
    ...(begun === 0 ? [] : [['waited', `${begun} calls, each ${waited.join(' and ')}`] as [string, string]]),
  ];
}

function fieldLine([name, text]: readonly [string, string], terminal: CommandContext['terminal']): string {
  return `  ${terminal.paint('dim', name.padEnd(12))}  ${text}`;
}
