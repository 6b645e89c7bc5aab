import { type ClientRequest, request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { HoldfastError } from '../../common/errors.js';

export interface SignedRequest {
  readonly method: 'GET' | 'PUT';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal: AbortSignal;
  /** It is given up when nothing of it moves for so long: a slow link is no reason. */
  readonly silentMs: number;
}

export interface SignedAnswer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** One request to an object store. @throws Unavailable, never with the url, which is as good as a credential; what the signal was aborted with */
export function signedRequest(url: string, { silentMs, body, ...options }: SignedRequest): Promise<SignedAnswer> {
  const { host, protocol } = new URL(url);
  const send = protocol === 'https:' ? tlsRequest : plainRequest;
  return new Promise((resolve, reject) => {
    const request: ClientRequest = send(url, { ...options, timeout: silentMs });
    let why = 'cannot be reached from here';
    const fail = (): void =>
      reject(
        options.signal.aborted
          ? options.signal.reason
          : new HoldfastError('Unavailable', `the object store at ${host} ${why}`),
      );
    request.once('timeout', () => {
      why = `moved no byte of an object within ${silentMs} ms`;
      request.destroy();
    });
    request.on('error', fail);
    request.once('response', (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', fail);
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(pieces) }));
    });
    request.end(body);
  });
}
