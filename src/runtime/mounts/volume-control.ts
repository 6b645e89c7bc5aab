import { isHoldfastError } from '../../common/errors.js';
import { refuse } from './refused.js';
import type { CommitAsk } from './volume-mount.js';

/** What a program inside asks of its volume; see src/volume-tool/main.c. */
export type VolumeAsk =
  | { readonly type: 'commit'; readonly ask: CommitAsk }
  | { readonly type: 'reload'; readonly isForced: boolean }
  | { readonly type: 'name' };

const ops = { commit: 1, reload: 2, name: 3 } as const;
const textBytes = 4_088;
const askBytes = 8 + textBytes;
/** _IOWR('H', 1, struct ask). */
const command = ((3 << 30) | (askBytes << 16) | (0x48 << 8) | 1) >>> 0;
const requestHeadBytes = 32;
const replyHeadBytes = 16;
const [done, failed] = [0, 1];

/** Of an ioctl. @throws Refused ENOTTY for any other */
export function parseControl(body: Buffer): VolumeAsk {
  if (body.readUInt32LE(12) !== command || body.length < requestHeadBytes + askBytes) refuse('ENOTTY');
  const ask = body.subarray(requestHeadBytes, requestHeadBytes + askBytes);
  const [op, flag] = [ask.readUInt32LE(0), ask.readUInt32LE(4) !== 0];
  if (op === ops.reload) return { type: 'reload', isForced: flag };
  if (op === ops.name) return { type: 'name' };
  if (op !== ops.commit) refuse('EINVAL');
  const text = ask.subarray(8);
  const message = text.toString('utf8', 0, Math.max(0, text.indexOf(0)));
  return { type: 'commit', ask: { message, onConflict: flag ? 'fail' : 'last-writer-wins' } };
}

/** The id of a commit or a name, or why there is none: an error of the file system could not say it. */
export async function controlReply(answer: Promise<string>): Promise<Buffer> {
  const { op, text } = await answer.then(
    (id) => ({ op: done, text: id }),
    (error: unknown) => ({
      op: failed,
      text: isHoldfastError(error) ? `${error.code}: ${error.message}` : String(error),
    }),
  );
  const reply = Buffer.alloc(replyHeadBytes + askBytes);
  reply.writeUInt32LE(op, replyHeadBytes);
  reply.write(text, replyHeadBytes + 8, textBytes - 1, 'utf8');
  return reply;
}
