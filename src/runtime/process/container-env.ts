/** What user code may know of its host; never the worker's own variables, nor NODE_OPTIONS and the like. */
const inherited = ['PATH', 'TZ', 'LANG', 'NODE_ENV'];

/** The environment of class containers: a few harmless variables of the worker's. */
export function harmlessEnv(hostEnv: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = inherited.map((name) => [name, hostEnv[name]] as const);
  return Object.fromEntries(entries.filter((entry): entry is readonly [string, string] => entry[1] !== undefined));
}
