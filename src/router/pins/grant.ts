import type { Random } from '../../common/clock.js';
import { kindOf } from '../../common/manifest.js';
import { checkedName } from '../../common/names.js';
import type { GrantOp, GrantView } from '../../wire/gen/holdfast/v1/router.js';
import type { Deployments } from '../apps/deployments.js';
import { filesNeeded } from '../placement/files-needed.js';
import { choosePlacement } from '../placement/placement.js';
import type { Workers } from '../placement/workers.js';
import type { Request } from '../service/request.js';
import type { NewNames } from './new-names.js';
import type { PinViews } from './pin-views.js';

export interface GrantParts {
  readonly random: Random;
  readonly newNames: NewNames;
  readonly deployments: Deployments;
  readonly workers: Workers;
  readonly views: PinViews;
}

const none: GrantView = { grant: '', address: '', deployment: 0 };
const noArguments = new Uint8Array();
const nobody = new Map<never, never>();

/**
 * The next grant for names of a class that are nearly all new (S13), of the worker that one of them would be placed on now. Nothing is
 * reserved: whether there is room is the worker's to say, name by name.
 *
 * @throws NotFound naming what is deployed, InvalidArgument
 */
export async function grant(parts: GrantParts, op: GrantOp, request: Request): Promise<GrantView> {
  const { account, role } = request;
  const of = { account, app: checkedName('app', op.app), className: checkedName('class', op.className) };
  if (!parts.newNames.areExpected(of)) return none;
  const { manifest, label, deployment } = await parts.deployments.forActivation(of, null);
  const kind = kindOf(manifest);
  if (kind !== 'class') return none;
  const files = filesNeeded(manifest, noArguments);
  const demand = { kind, options: manifest.options, label, home: null, local: null, files, refused: nobody };
  const placement = choosePlacement(demand, parts.workers.candidates(account), parts.random);
  if (placement.chosen === null || !placement.usesRoom) return none;
  const { bootId, address } = placement.chosen;
  const text = await parts.views.grant(of, { deployment: deployment.version, bootId }, role);
  return { grant: text, address, deployment: deployment.version };
}
