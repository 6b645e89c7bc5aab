/** For a process that a benchmark started: it lives exactly as long as its parent, which alone hears Ctrl-C. */
export function followParent(): void {
  process.on('SIGINT', () => undefined);
  process.once('disconnect', () => process.exit(0));
}

export function tellParent(message: unknown): void {
  process.send?.(message);
}
