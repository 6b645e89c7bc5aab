import { HoldfastError } from '../../common/errors.js';
import { decodeError } from '../../wire/errors.js';
import { decodeBody } from '../../wire/frames/frame-bodies.js';
import type { FrameStream } from '../../wire/frames/frame-stream.js';
import { FrameKind } from '../../wire/frames/frames.js';
import { decodePage, encodeStateRequest, type StateRequest } from '../../wire/frames/state-bodies.js';
import type { StateLink } from '../../wire/link/instance-storage.js';

interface Request {
  readonly slot: number;
  readonly body: Uint8Array;
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

/** Of one container; the worker refuses more. */
const mostStateRequests = 64;
/** Of those that are under way; one that is larger goes alone. */
const mostStateBytes = 8_388_608;

/**
 * What the instances of this container ask of their durable state: the worker asks the store for them. Those that the end of the
 * worker leaves without an answer never get one: the container ends as well.
 */
export class StateRequests {
  readonly #stream: FrameStream;
  readonly #underway = new Map<number, Request>();
  readonly #waiting: Request[] = [];
  #lastRef = 0;
  #bytes = 0;

  constructor(stream: FrameStream) {
    this.#stream = stream;
  }

  /** The way of the instance at that slot. */
  linkOf(slot: number): StateLink {
    const ask = (request: StateRequest) => this.#ask(slot, request);
    return {
      commit: async (commit) => void (await ask({ op: 'commit', commit })),
      get: async (key) => {
        const { value } = decodeBody(await ask({ op: 'get', key }));
        return value instanceof Uint8Array ? value : null;
      },
      alarm: async () => {
        const { atMs } = decodeBody(await ask({ op: 'alarm' }));
        return typeof atMs === 'number' ? atMs : null;
      },
      list: async (range) => decodePage(await ask({ op: 'list', range })),
    };
  }

  /** The worker's answer. @throws InvalidArgument where nothing was asked */
  onReply(ref: number, body: Buffer): void {
    const request = this.#underway.get(ref);
    if (request === undefined) throw new HoldfastError('InvalidArgument', `nobody asked for answer ${ref} about state`);
    this.#underway.delete(ref);
    this.#bytes -= request.body.length;
    if (body[0] === 1) request.resolve(Buffer.from(body.subarray(1)));
    else request.reject(decodeError(body.subarray(1)));
    for (let [next] = this.#waiting; next !== undefined && this.#hasRoomFor(next); [next] = this.#waiting) {
      this.#waiting.shift();
      this.#send(next);
    }
  }

  #ask(slot: number, asked: StateRequest): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const request = { slot, body: encodeStateRequest(asked), resolve, reject };
      if (this.#waiting.length === 0 && this.#hasRoomFor(request)) this.#send(request);
      else this.#waiting.push(request);
    });
  }

  #hasRoomFor({ body }: Request): boolean {
    const { size } = this.#underway;
    return size === 0 || (size < mostStateRequests && this.#bytes + body.length <= mostStateBytes);
  }

  #send(request: Request): void {
    this.#lastRef += 1;
    this.#underway.set(this.#lastRef, request);
    this.#bytes += request.body.length;
    this.#stream.writer.frame(FrameKind.State, this.#lastRef, request.slot, request.body);
    this.#stream.flushThisTick();
  }
}
