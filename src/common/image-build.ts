/** What is told while an image is built, in the order in which it happens. */
export type BuildEvent =
  /** A step begins, or was there already. The first is the base. */
  | {
      readonly type: 'step';
      readonly step: number;
      readonly of: number;
      readonly what: string;
      readonly cached: boolean;
    }
  /** Of the step that runs; pieces are left out where nobody keeps up with them. */
  | { readonly type: 'output'; readonly text: string }
  /** The last one. */
  | { readonly type: 'built'; readonly image: string };

/** In the session that an image is built through: where the tar with that hash is, for `copyLocal`. */
export function copyPath(sha256: string): string {
  return `/srv/${sha256}.tar`;
}
