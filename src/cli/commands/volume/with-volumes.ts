import { type Client, coreOf } from '../../../sdk/client.js';
import { VolumeAccess } from '../../../sdk/volumes/volume-access.js';
import { withClient } from '../client-access.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import type { ConnectionOptions } from '../options.js';

/** Connects, works with the account's volumes, and closes the connection whatever happens. */
export async function withVolumes<T>(
  options: ConnectionOptions,
  context: CommandContext,
  work: (client: Client, access: VolumeAccess) => Promise<T>,
): Promise<T> {
  return await withClient(findConnection(options, context.env), (client) =>
    work(client, VolumeAccess.of(coreOf(client))),
  );
}
