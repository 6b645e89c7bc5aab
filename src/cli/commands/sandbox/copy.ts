import { existsSync, statSync } from 'node:fs';
import { basename, join, posix } from 'node:path';
import type { Command } from 'commander';
import { HoldfastError, isHoldfastError } from '../../../common/errors.js';
import type { SandboxSession } from '../../../sdk/sandbox/sandbox-session.js';
import { TransferBar } from '../../output/transfer-bar.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, withConnection } from '../options.js';
import { type Place, parsePlace } from './session-reference.js';

const examples = `
Examples:
  holdfast sandbox cp data.csv demo/shell/one:/tmp/data.csv
  holdfast sandbox cp demo/shell/one:result.json .`;

/** `holdfast sandbox cp FROM TO` */
export function registerCopy(program: Command, context: CommandContext): void {
  const command = program
    .command('cp')
    .description('copy a file into or out of a session')
    .argument('<from>', 'a file here, or SESSION:PATH')
    .argument('<to>', 'SESSION:PATH, or a file or folder here')
    .addHelpText('after', examples);
  withConnection(command).action(async (from: string, to: string, options: ConnectionOptions) =>
    copy({ from: parsePlace(from), to: parsePlace(to) }, options, context),
  );
}

async function copy(
  { from, to }: { readonly from: Place; readonly to: Place },
  options: ConnectionOptions,
  context: CommandContext,
): Promise<void> {
  const connection = findConnection(options, context.env);
  const { withSession } = await import('./with-session.js');
  if (from.side === 'here' && to.side === 'there') {
    const bytes = localSize(from.path);
    return await withSession(connection, { reference: to.session, context }, async (session) => {
      const target = await remoteTarget(session, to.path, basename(from.path));
      await TransferBar.during({ name: basename(from.path), bytes }, context, (onProgress) =>
        session.uploadFile(from.path, target, { onProgress }).catch(asOurs),
      );
    });
  }
  if (from.side === 'there' && to.side === 'here') {
    return await withSession(connection, { reference: from.session, context }, async (session) => {
      const { size } = await session.stat(from.path);
      const name = posix.basename(from.path);
      const isFolder = existsSync(to.path) && statSync(to.path).isDirectory();
      await TransferBar.during({ name, bytes: size }, context, (onProgress) =>
        session.downloadFile(from.path, isFolder ? join(to.path, name) : to.path, { onProgress }).catch(asOurs),
      );
    });
  }
  throw new HoldfastError('InvalidArgument', 'one side is SESSION:PATH and the other a file of this machine');
}

/** @throws FileNotFound, InvalidArgument */
function localSize(path: string): number {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new HoldfastError('FileNotFound', `there is no file ${path}`);
  if (!stat.isDirectory()) return stat.size;
  throw new HoldfastError('InvalidArgument', `${path} is a folder: pack it, as with tar, and use exec --stdin`);
}

/** What the file system of this machine refuses, in its own words. @throws whatever it was */
function asOurs(error: unknown): never {
  if (isHoldfastError(error) || !(error instanceof Error)) throw error;
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === undefined) throw error;
  const kind = code === 'ENOENT' ? 'FileNotFound' : 'InvalidArgument';
  throw new HoldfastError(kind, error.message, { details: { path, errno: code }, cause: error });
}

/** A directory takes the file under its own name. */
async function remoteTarget(session: SandboxSession, path: string, name: string): Promise<string> {
  if (path.endsWith('/')) return posix.join(path, name);
  try {
    const { type } = await session.stat(path);
    return type === 'directory' ? posix.join(path, name) : path;
  } catch (e) {
    if (isHoldfastError(e, 'FileNotFound')) return path;
    throw e;
  }
}
