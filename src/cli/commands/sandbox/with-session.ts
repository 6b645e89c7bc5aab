import { HoldfastError, isHoldfastError } from '../../../common/errors.js';
import type { Client } from '../../../sdk/client.js';
import { coreOf } from '../../../sdk/client.js';
import { Sandbox } from '../../../sdk/sandbox/sandbox.js';
import type { SandboxSession } from '../../../sdk/sandbox/sandbox-session.js';
import { InspectReply, InspectRequest } from '../../../wire/gen/holdfast/v1/router.js';
import { withProgress } from '../../output/progress.js';
import { withClient } from '../client-access.js';
import type { CommandContext } from '../command-context.js';
import type { Connection } from '../connection.js';
import type { SessionReference } from './session-reference.js';

/** Works with a session that must be there: a name that was mistyped makes none. @throws NotFound */
export async function withSession<T>(
  connection: Connection,
  on: { readonly reference: SessionReference; readonly context: CommandContext },
  work: (session: SandboxSession) => Promise<T>,
): Promise<T> {
  const { reference, context } = on;
  const { app, sandbox, id } = reference;
  return await withClient(connection, async (client) => {
    const session = await withProgress(`looking for ${app}/${sandbox}/${id}`, context, async () => {
      // First, as a mistyped name of a sandbox would otherwise be taken for one without that session.
      const known = await Sandbox.fromName(app, sandbox, { client });
      await checkThere(client, reference);
      return await known.named(id);
    });
    return await work(session);
  });
}

async function checkThere(client: Client, { app, sandbox, id }: SessionReference): Promise<void> {
  const missing = new HoldfastError(
    'NotFound',
    `there is no session ${app}/${sandbox}/${id}: \`holdfast sandbox create ${app}/${sandbox} ${id}\` makes it`,
  );
  const request = { instance: { app, className: sandbox, id }, explain: false, generation: 0 };
  try {
    const reply = await coreOf(client).ask('Inspect', { request, of: InspectRequest, reply: InspectReply });
    if (reply.instance?.state === 'closed') throw missing;
  } catch (e) {
    if (isHoldfastError(e, 'NotFound') || isHoldfastError(e, 'InstanceGone')) throw missing;
    throw e;
  }
}
