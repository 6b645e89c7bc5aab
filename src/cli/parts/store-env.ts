/** Variables of a process that opens the stores: what TLS to them may need. @param also names of others */
export function storeEnv(also: readonly string[] = []): Record<string, string> {
  const names = ['PATH', 'HOME', 'TZ', 'NODE_EXTRA_CA_CERTS', ...also];
  const entries = names.map((name) => [name, process.env[name]] as const);
  return Object.fromEntries(entries.filter((entry): entry is readonly [string, string] => entry[1] !== undefined));
}
