import { HoldfastError } from '../common/errors.js';
import { type ExplainView, InspectReply, InspectRequest, type InstanceView } from '../wire/gen/holdfast/v1/router.js';
import { checkCloseOptions } from './call-options.js';
import type { ClientCore } from './client-core.js';
import type { CloseOptions, CloseResult, Explanation } from './infos.js';
import { closeResult, explanation, instanceInfo } from './instance-infos.js';
import type { InstanceTarget } from './instance-target.js';

type Question = Pick<InspectRequest, 'instance' | 'generation'>;

/** An instance on a worker, as its client holds it. */
export interface HeldInstance {
  readonly client: ClientCore;
  readonly target: InstanceTarget;
}

/** As the router and its worker see it now. @throws InstanceGone */
export async function inspectInstance({ client, target }: HeldInstance): Promise<InstanceView> {
  return (await inspect(client, { ...questionAbout(target), explain: false })).instance;
}

/** Why it is where it is. @throws InstanceGone */
export async function explainInstance({ client, target }: HeldInstance): Promise<Explanation> {
  return await explainNamed(client, questionAbout(target));
}

/** The same by its name. @param question.generation 0: whatever is there @throws NotFound, InstanceGone */
export async function explainNamed(client: ClientCore, question: Question): Promise<Explanation> {
  const { instance, explain } = await inspect(client, { ...question, explain: true });
  if (explain === undefined)
    throw new HoldfastError('Internal', `the router did not explain ${question.instance?.className}`);
  return explanation(instanceInfo(instance), explain);
}

function questionAbout({ placement }: InstanceTarget): Question {
  const { app, name, id, generation } = placement.handle;
  return { instance: { app, className: name, id }, generation };
}

async function inspect(
  client: ClientCore,
  request: InspectRequest,
): Promise<{ readonly instance: InstanceView; readonly explain: ExplainView | undefined }> {
  const reply = await client.ask('Inspect', { request, of: InspectRequest, reply: InspectReply });
  if (reply.instance !== undefined) return { instance: reply.instance, explain: reply.explain };
  throw new HoldfastError('Internal', `the router did not describe ${request.instance?.className}`);
}

/** Idempotent; afterwards the target answers every call with `InstanceGone`. */
export async function closeInstance({ client, target }: HeldInstance, options: CloseOptions): Promise<CloseResult> {
  checkCloseOptions(options);
  const { handle } = target.placement;
  const value = { target: { $case: 'handle', value: handle } as const, force: options.force ?? false };
  const own = { remainingMs: options.timeoutMs ?? 0, signal: options.signal };
  const reply = await client.close({ $case: 'close', value }, own);
  if (reply.closed || reply.alreadyClosed) {
    target.end(new HoldfastError('InstanceGone', `${target.label} was closed`, { details: { id: handle.id } }));
  }
  return closeResult(reply);
}
