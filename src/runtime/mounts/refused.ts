import { constants } from 'node:os';

const { errno } = constants;
export type ErrnoName = keyof typeof errno;

/** What the kernel is told in place of an answer; no `Error`, whose stack would cost more than the request. */
export class Refused {
  readonly code: ErrnoName;

  constructor(code: ErrnoName) {
    this.code = code;
  }

  get errno(): number {
    return errno[this.code];
  }
}

/** @throws Refused */
export function refuse(code: ErrnoName): never {
  throw new Refused(code);
}
