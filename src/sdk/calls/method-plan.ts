import type { ClassManifest, RetryPolicy } from '../../common/manifest.js';
import { RetryBudget } from '../../common/retry-budget.js';

/** What every call of one method has in common; made once per class of a deployment. */
export interface MethodPlan {
  readonly name: string;
  readonly generator: boolean;
  readonly idempotent: boolean;
  readonly retries: RetryPolicy;
  /** Of all calls of the class; null: none is retried. */
  readonly budget: RetryBudget | null;
}

const plans = new WeakMap<ClassManifest, ReadonlyMap<string, MethodPlan>>();

export function methodPlans(manifest: ClassManifest): ReadonlyMap<string, MethodPlan> {
  const known = plans.get(manifest);
  if (known !== undefined) return known;
  const { retries } = manifest.options;
  const budget = retries.maxRetries > 0 ? new RetryBudget() : null;
  const made = new Map(
    Object.values(manifest.methods).map((method) => {
      const { name, generator, idempotent } = method;
      return [name, { name, generator, idempotent, retries, budget }];
    }),
  );
  plans.set(manifest, made);
  return made;
}
