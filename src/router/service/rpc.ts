import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerWritableStream,
} from '@grpc/grpc-js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { Role } from '../../common/ports/store.js';
import { toGrpcError } from '../../wire/grpc/grpc-errors.js';
import { type GrpcPeer, peerOf } from '../../wire/grpc/grpc-server.js';
import type { RouterParts } from '../router-parts.js';
import { requireRole, requireWorker } from './auth.js';
import { OpenRequest, type Request } from './request.js';

/** A method of the service beside `Control`: who may call it, and what it does. */
export interface Rpc<Run> {
  readonly name: string;
  readonly role: Role | 'worker';
  readonly run: Run;
}

/** The caller's deadline, less this, so that our own error, which says more, comes first. */
const answerBeforeMs = 50;

interface Call {
  readonly metadata: Metadata;
  getPeer(): string;
  getDeadline(): Date | number;
  on(event: 'cancelled', listener: () => void): unknown;
}

export function unaryHandler<Ask, Reply>(
  parts: RouterParts,
  rpc: Rpc<(ask: Ask, request: Request) => Promise<Reply>>,
): handleUnaryCall<Ask, Reply> {
  return (call, callback) => {
    serve(parts, { call, rpc }, (request) => rpc.run(call.request, request)).then(
      (reply) => callback(null, reply),
      (error) => callback(toGrpcError(error)),
    );
  };
}

export function uploadHandler<Part, Reply>(
  parts: RouterParts,
  rpc: Rpc<(stream: AsyncIterable<Part>, request: Request) => Promise<Reply>>,
): handleClientStreamingCall<Part, Reply> {
  return (call, callback) => {
    // A client that breaks off is told by the iteration; without a listener the error would end the process.
    call.on('error', () => call.destroy());
    serve(parts, { call, rpc }, (request) => rpc.run(call, request))
      .then(
        (reply) => callback(null, reply),
        (error) => callback(toGrpcError(error)),
      )
      .finally(() => call.destroy());
  };
}

/** For streams that may go on for ever: they end with the caller, or with the router. */
export function downloadHandler<Ask, Item>(
  parts: RouterParts,
  rpc: Rpc<(ask: Ask, request: Request) => AsyncIterable<Item>>,
): handleServerStreamingCall<Ask, Item> {
  return (call) => {
    const sent = serve(parts, { call, rpc, isEndless: true }, async (request) => {
      for await (const item of rpc.run(call.request, request)) {
        if (!call.write(item)) await drained(call, request.signal);
      }
    });
    sent.then(
      () => call.end(),
      (error) => call.emit('error', toGrpcError(error)),
    );
  };
}

async function serve<Result>(
  parts: RouterParts,
  at: { readonly call: Call; readonly rpc: Rpc<unknown>; readonly isEndless?: boolean },
  run: (request: Request) => Promise<Result>,
): Promise<Result> {
  const { call, rpc, isEndless = false } = at;
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort());
  const peer: GrpcPeer = peerOf(call);
  const principal = await parts.auth.authenticate(peer.token);
  if (rpc.role === 'worker') requireWorker(principal, rpc.name);
  else requireRole(principal, rpc.role, rpc.name);
  const remainingMs = isEndless ? null : remainingOf(call, parts.clock.now());
  const request = new OpenRequest(principal, remainingMs, parts);
  const abandon = () => request.abort(new HoldfastError('Cancelled', `the caller of ${rpc.name} went away`));
  const close = () => request.abort(new HoldfastError('Unavailable', 'the router is closing; ask another one'));
  if (gone.signal.aborted) abandon();
  gone.signal.addEventListener('abort', abandon, { once: true });
  parts.closed.addEventListener('abort', close, { once: true });
  try {
    return await request.race(run(request));
  } catch (error) {
    if (!isHoldfastError(error)) parts.log.error('rpc.failed', { rpc: rpc.name, error: stackOf(error) });
    throw error;
  } finally {
    request.end();
    parts.closed.removeEventListener('abort', close);
  }
}

function remainingOf(call: Call, nowMs: number): number {
  const deadline = call.getDeadline();
  const atMs = deadline instanceof Date ? deadline.getTime() : deadline;
  if (!Number.isFinite(atMs)) return 0;
  return Math.max(1, atMs - nowMs - answerBeforeMs);
}

function drained<Ask, Item>(call: ServerWritableStream<Ask, Item>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      call.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    call.on('drain', done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
