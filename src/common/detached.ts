/** What a method of the runtime's own returns whose work goes on after its answer: it keeps its slot until then (C4). */
export class Detached {
  readonly answer: unknown;
  /** Never rejects. */
  readonly done: Promise<void>;

  constructor(answer: unknown, done: Promise<void>) {
    this.answer = answer;
    this.done = done;
  }
}
