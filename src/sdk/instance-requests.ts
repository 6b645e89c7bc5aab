import { HoldfastError } from '../common/errors.js';
import { type ExplainView, InspectReply, InspectRequest, type InstanceView } from '../wire/gen/holdfast/v1/router.js';
import { checkCloseOptions } from './call-options.js';
import type { ClientCore } from './client-core.js';
import type { CloseOptions, CloseResult } from './infos.js';
import { closeResult } from './instance-infos.js';
import type { InstanceTarget } from './instance-target.js';

/** An instance on a worker, as its client holds it. */
export interface HeldInstance {
  readonly client: ClientCore;
  readonly target: InstanceTarget;
}

/** As the router and its worker see it now. @throws InstanceGone */
export async function inspectInstance(
  { client, target }: HeldInstance,
  explain = false,
): Promise<{ readonly instance: InstanceView; readonly explain: ExplainView | undefined }> {
  const { app, name, id, generation } = target.placement.handle;
  const request = { instance: { app, className: name, id }, explain, generation };
  const reply = await client.ask('Inspect', { request, of: InspectRequest, reply: InspectReply });
  if (reply.instance === undefined) throw new HoldfastError('Internal', `the router did not describe ${target.label}`);
  return { instance: reply.instance, explain: reply.explain };
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
