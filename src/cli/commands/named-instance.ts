import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { Class, ClassInstance } from '../../sdk/classes/class-types.js';
import { Cls } from '../../sdk/classes/cls.js';
import type { Client } from '../../sdk/client.js';
import { coreOf } from '../../sdk/client.js';
import { InspectReply, InspectRequest } from '../../wire/gen/holdfast/v1/router.js';
import { parseJsonArguments } from './json-arguments.js';
import { parseClassReference } from './references.js';
import type { TimeLimit } from './time-limit.js';

/** An instance as a command line names it. */
export interface NamedTarget {
  /** `APP/CLASS`. */
  readonly reference: string;
  readonly id: string;
  /** Text of `--init`. */
  readonly init: string | undefined;
}

/**
 * The instance of that name, made where it is not there; but not without arguments that its constructor needs, which a
 * command line forgets more easily than a compiled program.
 *
 * @throws InvalidArgument with the `--init` to give, NotFound, InstanceConflict, DeadlineExceeded
 */
export async function namedInstance(
  client: Client,
  { reference, id, init }: NamedTarget,
  limit: TimeLimit,
): Promise<ClassInstance<Class>> {
  const { app, className } = parseClassReference(reference);
  const args = parseJsonArguments(init, '--init');
  const told = {
    what: `the router at ${coreOf(client).endpoint} to tell of ${reference}`,
    outcome: 'not-run',
  } as const;
  const cls = await limit.during(told, Cls.fromName(app, className, { client }));
  const needed = cls.parameters.filter(({ optional, rest }) => !optional && !rest).map(({ name }) => name);
  const mayLack = needed.length > 0 && init === undefined;
  if (mayLack && !(await limit.during(told, isThere(client, { app, className, id })))) {
    const form = `--init '${JSON.stringify(needed)}'`;
    throw new HoldfastError(
      'InvalidArgument',
      `there is no ${reference} ${id} yet, and to make it the constructor needs ${needed.join(', ')}: give ${form}`,
    );
  }
  const placed = { what: `a worker for ${reference}/${id}, see \`holdfast workers\``, outcome: 'unknown' } as const;
  return await limit.during(placed, cls.named(id, ...args));
}

async function isThere(
  client: Client,
  instance: { readonly app: string; readonly className: string; readonly id: string },
): Promise<boolean> {
  const request = { instance, explain: false, generation: 0 };
  try {
    const reply = await coreOf(client).ask('Inspect', { request, of: InspectRequest, reply: InspectReply });
    return reply.instance?.state !== 'closed';
  } catch (e) {
    if (isHoldfastError(e, 'NotFound') || isHoldfastError(e, 'InstanceGone')) return false;
    throw e;
  }
}
