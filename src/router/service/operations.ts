import { HoldfastError } from '../../common/errors.js';
import type { CloseReply, ControlRequest, PinView } from '../../wire/gen/holdfast/v1/router.js';
import { type CloseParts, close } from '../pins/close.js';
import { type CreateParts, create } from '../pins/create.js';
import { attach, resolve } from '../pins/resolve.js';
import { requireRole } from './auth.js';
import type { Request } from './request.js';

export type OperationParts = CreateParts & CloseParts;

export type InstanceOp = Exclude<NonNullable<ControlRequest['op']>, { readonly $case: 'cancel' }>;

/** Runs one operation on an instance. All of them need the role `call`. */
export async function operate(
  parts: OperationParts,
  op: InstanceOp,
  request: Request,
): Promise<{ $case: 'pin'; value: PinView } | { $case: 'closed'; value: CloseReply }> {
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
    default:
      throw new HoldfastError('InvalidArgument', `unknown operation ${(op satisfies never as InstanceOp).$case}`);
  }
}
