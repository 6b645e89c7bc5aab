import type { DownloadStart } from '../../common/sandbox-methods.js';
import { ofCall } from './bytes-of-call.js';
import type { SessionCalls } from './session-calls.js';

/** The bytes of a file, piece by piece, as they are asked for; each is good until the next is. @throws FileNotFound, PermissionDenied, InvalidArgument */
export async function* download(calls: SessionCalls, path: string): AsyncGenerator<Uint8Array, void, undefined> {
  const { bytes } = calls;
  if (bytes === undefined) {
    yield* calls.stream<Uint8Array>('read', [path]);
    return;
  }
  const life = calls.stream<DownloadStart>('download', [path])[Symbol.asyncIterator]();
  try {
    const start = await life.next();
    if (start.done) return;
    if (start.value.bytes.length > 0) yield start.value.bytes;
    if (start.value.ticket !== null) yield* ofCall(bytes(start.value.ticket), life).read();
  } finally {
    await life.return?.();
  }
}
