import { HoldfastError, isHoldfastError, type Outcome } from '../../common/errors.js';

interface Refusal {
  readonly retryable: boolean;
  readonly why: string;
}

// Every one of these is answered before a command or script writes anything.
const refusals: Readonly<Record<string, Refusal>> = {
  NOAUTH: { retryable: false, why: 'it asks for a password: put user and password into the url' },
  WRONGPASS: { retryable: false, why: 'it does not know this user and password: correct them in the url' },
  NOPERM: {
    retryable: false,
    why: 'its ACL does not let this user do so: allow it `~hf:* +@read +@write +@scripting +@connection +@transaction +cluster +info +time`',
  },
  READONLY: { retryable: true, why: 'it is a replica: a failover is under way, or the url names a replica' },
  MASTERDOWN: { retryable: true, why: 'it has lost its master' },
  LOADING: { retryable: true, why: 'it is loading its data from disk' },
  BUSY: { retryable: true, why: 'a script of another program keeps it busy' },
  CLUSTERDOWN: { retryable: true, why: 'its cluster is down or has slots without a node: see `CLUSTER INFO`' },
  TRYAGAIN: { retryable: true, why: 'the slot is being moved' },
  NOREPLICAS: { retryable: true, why: 'too few replicas are connected (`min-replicas-to-write`)' },
  OOM: { retryable: true, why: 'its memory is full: raise `maxmemory`, with the policy `noeviction`' },
  MISCONF: { retryable: true, why: 'it cannot save to its disk: see the log of Redis' },
};
const refusalCode = new RegExp(`\\b(?:${Object.keys(refusals).join('|')})\\b`);
/** NOPERM of a command inside a script, which comes without that code; what ran before it in the script has written. */
const deniedInScript = /user executing the script can't (?:run|access)/;

/** What every store error says: which operation, at which server (its url without credentials). */
export interface StoreOperation {
  readonly what: string;
  readonly server: string;
}

/** The one place where an error of the client becomes a `HoldfastError`. */
export function storeError(error: unknown, { what, server }: StoreOperation): HoldfastError {
  if (isHoldfastError(error)) return error;
  const { name, message } = error instanceof Error ? error : { name: '', message: String(error) };
  if (name === 'ReplyError') return replyError(error, message, { what, server });
  // The client refuses at once while it has no connection; whatever else breaks may have been sent.
  if (/isn't writeable|isn't ready|startup nodes/i.test(message)) return storeAway({ what, server });
  return unavailable(`${what}: lost the connection to Redis at ${server} (${message})`, {
    outcome: 'unknown',
    cause: error,
  });
}

/** There is no connection at present: nothing was sent. */
export function storeAway({ what, server }: StoreOperation): HoldfastError {
  return unavailable(`${what}: no connection to Redis at ${server}; the store redials by itself`, {
    outcome: 'not-run',
  });
}

/** The operation had no answer in time; whether it happened is unknown (S4). */
export function storeTimeout({ what, server }: StoreOperation, timeoutMs: number): HoldfastError {
  return unavailable(`${what}: Redis at ${server} did not answer within ${timeoutMs} ms`, { outcome: 'unknown' });
}

/** The first connection could not be made. */
export function connectError(server: string, cause: unknown): HoldfastError {
  if (cause instanceof Error && cause.name === 'ReplyError') return storeError(cause, { what: 'connecting', server });
  const why = cause instanceof Error ? cause.message : String(cause);
  return unavailable(`Redis at ${server} cannot be reached (${why}): start it, or correct the url of the store`, {
    outcome: 'not-run',
    cause,
  });
}

function replyError(cause: unknown, message: string, { what, server }: StoreOperation): HoldfastError {
  const isDeniedInScript = deniedInScript.test(message);
  const refusal = refusals[isDeniedInScript ? 'NOPERM' : (refusalCode.exec(message)?.[0] ?? '')];
  if (refusal) {
    const { retryable, why } = refusal;
    const outcome = isDeniedInScript ? 'unknown' : 'not-run';
    return new HoldfastError('Unavailable', `${what}: Redis at ${server} refuses, ${why}`, {
      retryable,
      outcome,
      cause,
    });
  }
  if (/\bWRONGTYPE\b/.test(message)) {
    const advice = 'another program writes keys that start with `hf:`; give Holdfast a database of its own';
    return new HoldfastError('Internal', `${what}: a key at ${server} holds another type: ${advice}`, { cause });
  }
  return new HoldfastError('Internal', `${what}: Redis at ${server} answered ${JSON.stringify(message)}`, {
    outcome: 'unknown',
    cause,
  });
}

function unavailable(message: string, options: { readonly outcome: Outcome; readonly cause?: unknown }): HoldfastError {
  return new HoldfastError('Unavailable', message, { retryable: true, ...options });
}
