/** Resolves in the turn of the event loop in which `holds` first does; what it waits for needs no time to pass. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}

/** Lets whatever is under way in this process go on for that many turns: for showing that something does not happen. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await turn();
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
