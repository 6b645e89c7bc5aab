/** Thrown at the end of a command that ran in a session: its exit code is that of `holdfast`, and nothing is reported. */
export class CommandExit {
  readonly exitCode: number;

  constructor(exitCode: number) {
    this.exitCode = exitCode;
  }
}

/** As a shell shows it: 128 and the number of the signal that ended it. */
export function commandExit(
  { exitCode, signal }: { readonly exitCode: number | null; readonly signal: string | null },
  signals: Readonly<Record<string, number>>,
): CommandExit {
  return new CommandExit(exitCode ?? 128 + (signals[signal ?? ''] ?? 0));
}
