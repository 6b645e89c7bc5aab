/** Why an operation is not possible, by the name that programs know. */
export type LiveProblem = 'ENOENT' | 'EEXIST' | 'ENOTDIR' | 'EISDIR' | 'ENOTEMPTY' | 'EINVAL' | 'ESTALE' | 'EFBIG';

/** Thrown by network file systems for what the caller did; whoever calls says it in his own words. */
export class LiveRefusal {
  readonly code: LiveProblem;

  constructor(code: LiveProblem) {
    this.code = code;
  }
}

/** @throws LiveRefusal */
export function refuseLive(code: LiveProblem): never {
  throw new LiveRefusal(code);
}
