import { NetworkFileSystem } from '../../../sdk/volumes/network-file-system.js';
import { withClient } from '../client-access.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import type { ConnectionOptions } from '../options.js';

/** Connects, works with one network file system, and closes the connection whatever happens. @param createIfMissing default: false */
export async function withNfs<T>(
  { name, createIfMissing = false }: { readonly name: string; readonly createIfMissing?: boolean },
  { options, context }: { readonly options: ConnectionOptions; readonly context: CommandContext },
  work: (nfs: NetworkFileSystem) => Promise<T>,
): Promise<T> {
  return await withClient(findConnection(options, context.env), (client) =>
    work(NetworkFileSystem.fromName(name, { client, createIfMissing })),
  );
}
