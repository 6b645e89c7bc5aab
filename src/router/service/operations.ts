import { HoldfastError } from '../../common/errors.js';
import type { CloseReply, ControlRequest, GrantView, PinView, SpawnedView } from '../../wire/gen/holdfast/v1/router.js';
import { type CloseParts, close } from '../pins/close.js';
import { type CreateParts, create } from '../pins/create.js';
import { type GrantParts, grant } from '../pins/grant.js';
import { attach, resolve } from '../pins/resolve.js';
import { getSpawned, type WaitParts } from '../spawned.js';
import { requireRole } from './auth.js';
import type { Request } from './request.js';

export type OperationParts = CreateParts & GrantParts & CloseParts & WaitParts;

export type InstanceOp = Exclude<NonNullable<ControlRequest['op']>, { readonly $case: 'cancel' }>;

/** Of a spawned call, on a control stream. */
const mostAnswerBytes = 4_096;

type Answer =
  | { $case: 'pin'; value: PinView }
  | { $case: 'closed'; value: CloseReply }
  | { $case: 'grant'; value: GrantView }
  | { $case: 'spawned'; value: SpawnedView };

/** Runs one operation of a control stream. All of them need the role `call`. */
export async function operate(parts: OperationParts, op: InstanceOp, request: Request): Promise<Answer> {
  requireRole(request, 'call', op.$case);
  switch (op.$case) {
    case 'resolve':
      return { $case: 'pin', value: await resolve(parts, op.value, request) };
    case 'create':
      return { $case: 'pin', value: await create(parts, op.value, request) };
    case 'attach':
      return { $case: 'pin', value: await attach(parts, op.value.handle, request) };
    case 'close':
      return { $case: 'closed', value: await close(parts, op.value, request) };
    case 'grant':
      return { $case: 'grant', value: await grant(parts, op.value, request) };
    case 'getSpawned':
      return { $case: 'spawned', value: withoutLarge(await getSpawned(parts, op.value, request)) };
    default:
      throw new HoldfastError('InvalidArgument', `unknown operation ${(op satisfies never as InstanceOp).$case}`);
  }
}

/** Many answers share a message, and wait for clients that do not read: who sees that a call has ended asks for a large one by itself. */
function withoutLarge(call: SpawnedView): SpawnedView {
  return (call.answer?.length ?? 0) > mostAnswerBytes ? { ...call, answer: undefined } : call;
}
