/** How those are refused who come while an instance leaves: with InstanceClosed, or with Moved. */
export type Ending = 'closing' | 'moving';

/** `ending` of one that activates: it was told to leave before it was alive. */
export type InstanceState =
  | { readonly phase: 'activating'; readonly ending: Ending | null }
  | { readonly phase: 'active' }
  | { readonly phase: 'leaving'; readonly ending: Ending }
  | { readonly phase: 'gone' };

/** How calls are refused in this state; null: they are admitted (C1). */
export function refusalIn(state: InstanceState): Ending | null {
  switch (state.phase) {
    case 'active':
      return null;
    case 'activating':
    case 'leaving':
      return state.ending;
    case 'gone':
      return 'moving';
    default:
      return state satisfies never;
  }
}
