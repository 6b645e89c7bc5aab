import { Duplex } from 'node:stream';
import { HoldfastError } from '../../../common/errors.js';
import type { GuestListener } from '../../../common/ports/guest.js';
import { guestBroke, guestError } from './guest-errors.js';
import { GuestAnswer, GuestRequest } from './guest-frames.js';
import { GuestCredit } from './guest-inflow.js';
import type { GuestLink, GuestOperation } from './guest-link.js';
import { GuestSender } from './guest-sender.js';

const windowBytes = 262_144;
const maxPort = 65_535;

/** @throws Unavailable where nobody listens, InvalidArgument */
export async function connectInGuest(link: GuestLink, port: number): Promise<Duplex> {
  const connection = await openConnection(link, port);
  // It may have ended in the very turn in which it was opened: then its events are over before anybody can listen.
  if (connection.errored !== null) throw connection.errored;
  return connection;
}

function openConnection(link: GuestLink, port: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    checkPort(port, 1);
    const connection = new Connection(link);
    const ref = link.request(
      GuestRequest.Connect,
      [
        [4, windowBytes],
        [2, port],
      ],
      {
        onFrame: (kind, body) => {
          if (connection.isOpen) return connection.onFrame(kind, body);
          if (kind === GuestAnswer.Ok) return resolve(connection.open(ref));
          if (kind !== GuestAnswer.Error) throw guestBroke(`a ${kind} for a connection`);
          link.release(ref);
          reject(guestError({ verb: 'connect to port', path: String(port) }, body));
        },
        onData: (kind, bytes) => connection.onData(kind, bytes),
        onLost: (error) => {
          connection.onLost(error);
          reject(error);
        },
      },
    );
    connection.announce(ref);
  });
}

/** @throws AlreadyExists where the port is taken, PermissionDenied, InvalidArgument */
export function listenInGuest(
  link: GuestLink,
  port: number,
  onConnection: (connection: Duplex) => void,
): Promise<GuestListener> {
  return new Promise((resolve, reject) => {
    checkPort(port, 0);
    let isListening = false;
    const ref = link.request(
      GuestRequest.Listen,
      [
        [4, windowBytes],
        [2, port],
      ],
      {
        onFrame: (kind, body) => {
          if (isListening) return accept(link, { kind, body }, onConnection);
          if (kind === GuestAnswer.Error) {
            link.release(ref);
            return reject(guestError({ verb: 'listen on port', path: String(port) }, body));
          }
          if (kind !== GuestAnswer.Ok || body.length !== 2) throw guestBroke(`a ${kind} for a listener`);
          isListening = true;
          resolve({ port: body.readUInt16LE(0), close: () => link.abandon(ref) });
        },
        onLost: reject,
      },
    );
  });
}

function accept(
  link: GuestLink,
  frame: { readonly kind: GuestAnswer; readonly body: Buffer },
  onConnection: (connection: Duplex) => void,
): void {
  if (frame.kind !== GuestAnswer.Accepted || frame.body.length !== 4)
    throw guestBroke(`a ${frame.kind} for a listener`);
  const ref = frame.body.readUInt32LE(0);
  const connection = new Connection(link);
  link.accept(ref, connection);
  connection.announce(ref);
  onConnection(connection.open(ref));
}

/** A byte stream inside the guest as a Duplex out here. */
class Connection implements GuestOperation {
  readonly #link: GuestLink;
  readonly #duplex: Duplex;
  #ref = 0;
  #credit: GuestCredit | null = null;
  #sender: GuestSender | null = null;
  /** What the stream has taken or will take soon. */
  #unread = 0;
  #hasEnded = false;
  #hasFinished = false;

  constructor(link: GuestLink) {
    this.#link = link;
    this.#duplex = new Duplex({
      allowHalfOpen: true,
      read: () => this.#giveCredit(),
      write: (bytes: Buffer, _encoding, done) => {
        this.#sender?.write(bytes).then(() => done(), done);
      },
      final: (done) => {
        this.#sender?.end();
        this.#hasFinished = true;
        this.#releaseAtEnd();
        done();
      },
      destroy: (error, done) => {
        this.#sender?.stop(null);
        this.#link.abandon(this.#ref);
        done(error);
      },
    });
    // Whoever uses it sees it close; where nobody does yet, a guest that goes must not end this process.
    this.#duplex.on('error', () => undefined);
  }

  get isOpen(): boolean {
    return this.#sender !== null;
  }

  announce(ref: number): void {
    this.#ref = ref;
    this.#credit = new GuestCredit(this.#link, ref, windowBytes);
  }

  open(ref: number): Duplex {
    this.#sender = new GuestSender(this.#link, ref);
    return this.#duplex;
  }

  onFrame(kind: GuestAnswer, body: Buffer): void {
    if (kind === GuestAnswer.Credit) return this.#sender?.onCredit(body);
    if (kind === GuestAnswer.Error) {
      this.#link.release(this.#ref);
      this.#duplex.destroy(guestError({ verb: 'go on with', path: 'the connection' }, body));
      return;
    }
    if (kind !== GuestAnswer.End || this.#hasEnded) throw guestBroke(`a ${kind} on a connection`);
    this.#hasEnded = true;
    this.#duplex.push(null);
    this.#releaseAtEnd();
  }

  onData(_kind: GuestAnswer, bytes: Buffer): void {
    if (this.#hasEnded || !this.isOpen) throw guestBroke('data outside of a connection');
    this.#unread += bytes.length;
    if (this.#duplex.push(bytes)) this.#giveCredit();
  }

  onLost(error: HoldfastError): void {
    this.#duplex.destroy(error);
  }

  #giveCredit(): void {
    this.#credit?.taken(this.#unread);
    this.#unread = 0;
  }

  #releaseAtEnd(): void {
    if (this.#hasEnded && this.#hasFinished) this.#link.release(this.#ref);
  }
}

function checkPort(port: number, least: number): void {
  if (Number.isInteger(port) && port >= least && port <= maxPort) return;
  throw new HoldfastError('InvalidArgument', `the port is ${port}, it must be ${least} to ${maxPort}`);
}
