import type { ClassManifest, RetryPolicy } from '../common/manifest.js';

/** What every call of one method has in common; made once per class of a deployment. */
export interface MethodPlan {
  readonly name: string;
  readonly generator: boolean;
  readonly idempotent: boolean;
  readonly retries: RetryPolicy;
}

const plans = new WeakMap<ClassManifest, ReadonlyMap<string, MethodPlan>>();

export function methodPlans(manifest: ClassManifest): ReadonlyMap<string, MethodPlan> {
  const known = plans.get(manifest);
  if (known !== undefined) return known;
  const { retries } = manifest.options;
  const made = new Map(
    Object.values(manifest.methods).map((method) => {
      const { name, generator, idempotent } = method;
      return [name, { name, generator, idempotent, retries }];
    }),
  );
  plans.set(manifest, made);
  return made;
}
