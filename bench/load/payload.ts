/** What a call carries and gets back. */
export type Value = string | Uint8Array;

export interface PayloadPlan {
  readonly bytes: number;
  readonly as: 'text' | 'bytes';
}

/** `<label>:` and then filling, exactly as long as the plan says: each answer shows which call it belongs to. */
export function makePayload(plan: PayloadPlan, label: string): Value {
  const text = `${label}:`.padEnd(Math.min(plan.bytes, 64), '.');
  if (text.length > plan.bytes) throw new Error(`a payload of ${plan.bytes} bytes cannot hold the label '${label}'`);
  if (plan.as === 'text') return text.padEnd(plan.bytes, 'x');
  const bytes = Buffer.alloc(plan.bytes, 'x');
  bytes.write(text, 'latin1');
  return bytes;
}

export function isSamePayload(a: Value, b: Value): boolean {
  return typeof a === 'string' || typeof b === 'string' ? a === b : Buffer.compare(a, b) === 0;
}
