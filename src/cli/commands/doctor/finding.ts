/** What was looked at, and what to do about it. */
export interface Finding {
  readonly of: 'redis' | 'nats' | 'objects' | 'workers';
  /** Which one: an address, an id. */
  readonly which: string;
  readonly level: 'ok' | 'warning' | 'problem';
  /** What is so, and what comes of it. */
  readonly says: string;
  /** Null where nothing is to be done. */
  readonly next: string | null;
}

/** One rule about a server: what it says where it does not hold. */
export interface Rule<Server> {
  readonly level: 'warning' | 'problem';
  /** Null where it holds, or where the server does not tell. */
  readonly breach: (server: Server) => string | null;
  readonly next: string;
}

/** What breaks of the rules, or that none does. */
export function findingsOf<Server extends { readonly name: string }>(
  of: Finding['of'],
  server: Server,
  rules: readonly Rule<Server>[],
): Finding[] {
  const broken = rules.flatMap(({ level, breach, next }): Finding[] => {
    const says = breach(server);
    return says === null ? [] : [{ of, which: server.name, level, says, next }];
  });
  return broken.length > 0 ? broken : [{ of, which: server.name, level: 'ok', says: 'as it should be', next: null }];
}
