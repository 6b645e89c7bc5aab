/** A thread of the process of mounts that keeps chunks and hashes them: see chunk-threads.ts. */
import { parentPort } from 'node:worker_threads';
import type { ThreadAnswer, ThreadWork } from './chunk-threads.js';
import { hashOfFile, keepVerified } from './verified-chunk.js';

parentPort?.on('message', (work: ThreadWork) => parentPort?.postMessage(answerTo(work)));

function answerTo(work: ThreadWork): ThreadAnswer {
  try {
    return { value: 'hashed' in work ? hashOfFile(work.hashed) : keepVerified(work) };
  } catch (error) {
    const { code = 'EIO', message } = error as NodeJS.ErrnoException;
    return { code, message };
  }
}
