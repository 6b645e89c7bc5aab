const times = new Float64Array(1);
const words = new Uint32Array(times.buffer);

/** Two lanes of FNV-1a: cheap enough to take in every event. */
export class TraceHash {
  #a = 0x811c9dc5;
  #b = 0x01234567;

  get text(): string {
    return [this.#a, this.#b].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('');
  }

  event(at: number, order: number): void {
    times[0] = at;
    this.#word(words[0] as number);
    this.#word(words[1] as number);
    this.#word(order);
  }

  note(who: string, what: string, detail: string | number): void {
    this.#string(who);
    this.#string(what);
    this.#string(String(detail));
  }

  #string(text: string): void {
    for (let i = 0; i < text.length; i += 1) this.#word(text.charCodeAt(i));
    this.#word(0x1f);
  }

  #word(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x01000193);
    this.#b = Math.imul(this.#b ^ (word + 0x9e3779b9), 0x85ebca6b);
    this.#b ^= this.#b >>> 13;
  }
}
