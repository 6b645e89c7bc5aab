import { checkOptions } from '../../common/check-options.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { encodeArgs } from '../../wire/codec/codec.js';
import {
  type CloseOp,
  type CloseReply,
  type ExplainView,
  InspectReply,
  InspectRequest,
  type InstanceName,
  type InstanceView,
} from '../../wire/gen/holdfast/v1/router.js';
import { closeResult, explanation, instanceInfo } from '../classes/instance-infos.js';
import type { ClassInstanceHandle, CloseOptions, CloseResult, Explanation } from '../infos.js';
import type { ClientCore } from '../sessions/client-core.js';
import { type CallLimits, Limits, limitChecks } from './call-limits.js';
import { checkCloseOptions } from './call-options.js';
import type { InstanceTarget } from './instance-target.js';

type Question = Pick<InspectRequest, 'instance' | 'generation'>;

/** An instance on a worker, as its client holds it. */
export interface HeldInstance {
  readonly client: ClientCore;
  readonly target: InstanceTarget;
}

/**
 * That there is nothing of a handle's name is for those to hear whose handle is genuine (S12).
 *
 * @throws PermissionDenied for a forged one, else what was missing
 */
export async function notFoundBy(
  handle: ClassInstanceHandle,
  missing: unknown,
  { client, limits }: { readonly client: ClientCore; readonly limits: Limits | undefined },
): Promise<never> {
  if (isHoldfastError(missing, 'NotFound')) await client.place({ $case: 'attach', value: { handle } }, limits);
  throw missing;
}

/** As the router and its worker see it now. @throws InstanceGone */
export async function inspectInstance(
  { client, target }: HeldInstance,
  options: CallLimits = {},
): Promise<InstanceView> {
  return (await inspect(client, { ...questionAbout(target), explain: false }, options)).instance;
}

/** Why it is where it is. @throws InstanceGone */
export async function explainInstance({ client, target }: HeldInstance, options: CallLimits): Promise<Explanation> {
  return await explainNamed(client, questionAbout(target), options);
}

/** The same by its name. @param question.generation 0: whatever is there @throws NotFound, InstanceGone */
export async function explainNamed(client: ClientCore, question: Question, options: CallLimits): Promise<Explanation> {
  const { instance, explain } = await inspect(client, { ...question, explain: true }, options);
  if (explain === undefined) throw new HoldfastError('Internal', `the router did not explain ${labelOf(question)}`);
  return explanation(instanceInfo(instance), explain);
}

function questionAbout({ placement }: InstanceTarget): Question {
  const { app, name, id, generation } = placement.handle;
  return { instance: { app, className: name, id }, generation };
}

async function inspect(
  client: ClientCore,
  request: InspectRequest,
  options: CallLimits,
): Promise<{ readonly instance: InstanceView; readonly explain: ExplainView | undefined }> {
  const what = `${request.explain ? 'explain' : 'inspect'} of ${labelOf(request)}`;
  checkOptions(what, options, limitChecks);
  const limits = Limits.of(client.clock, what, options);
  const reply = await client.ask('Inspect', { request, of: InspectRequest, reply: InspectReply }, limits);
  if (reply.instance !== undefined) return { instance: reply.instance, explain: reply.explain };
  throw new HoldfastError('Internal', `the router did not describe ${labelOf(request)}`);
}

function labelOf({ instance }: Question): string {
  return instance === undefined ? 'an instance' : `${instance.app}/${instance.className}/${instance.id}`;
}

/** Closes the instance of a handle. Idempotent. */
export async function closeByHandle(
  client: ClientCore,
  handle: ClassInstanceHandle,
  options: CloseOptions,
): Promise<CloseResult> {
  checkCloseOptions(options);
  const target = { $case: 'handle', value: handle } as const;
  return closeResult(await askToClose(client, { target, force: options.force ?? false }, options));
}

/**
 * Closes the instance of a name. Idempotent.
 * @param of its constructor's arguments, where it shall be that one only
 * @throws InstanceConflict for other arguments than its first
 */
export async function closeByName(
  client: ClientCore,
  of: { readonly name: InstanceName; readonly args: readonly unknown[] },
  options: CallLimits,
): Promise<CloseResult> {
  const args = of.args.length === 0 ? {} : { args: Buffer.from(encodeArgs(of.args)) };
  const target = { $case: 'instance', value: of.name } as const;
  return closeResult(await askToClose(client, { target, force: false, ...args }, options));
}

/** Idempotent; afterwards the target answers every call with `InstanceGone`. */
export async function closeInstance({ client, target }: HeldInstance, options: CloseOptions): Promise<CloseResult> {
  checkCloseOptions(options);
  const { handle } = target.placement;
  const value = { target: { $case: 'handle', value: handle } as const, force: options.force ?? false };
  const reply = await askToClose(client, value, options);
  if (reply.closed || reply.alreadyClosed) {
    target.end(new HoldfastError('InstanceGone', `${target.label} was closed`, { details: { id: handle.id } }));
  }
  return closeResult(reply);
}

async function askToClose(client: ClientCore, value: CloseOp, { signal, timeoutMs }: CallLimits): Promise<CloseReply> {
  return await client.close({ $case: 'close', value }, { remainingMs: timeoutMs ?? 0, signal });
}
