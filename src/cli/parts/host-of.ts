/** Of `host:port`, `[address]:port` or a host alone. */
export function hostOf(address: string): string {
  const [, bracketed, plain] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::\d+)?$/.exec(address) ?? [];
  return bracketed ?? plain ?? address;
}
