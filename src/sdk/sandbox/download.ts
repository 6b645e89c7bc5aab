import type { DownloadStart } from '../../common/sandbox-methods.js';
import type { SessionCalls } from './session-calls.js';

/** The bytes of a file, piece by piece, as they are asked for. @throws FileNotFound, PermissionDenied, InvalidArgument */
export async function* download(calls: SessionCalls, path: string): AsyncGenerator<Uint8Array, void, undefined> {
  const { bytes } = calls;
  if (bytes === undefined) {
    yield* calls.stream<Uint8Array>('read', [path]);
    return;
  }
  for await (const start of calls.stream<DownloadStart>('download', [path])) {
    if (start.bytes.length > 0) yield start.bytes;
    if (start.ticket !== null) yield* bytes(start.ticket).read();
    // The rest of its life has nothing to say.
    return;
  }
}
