/** A time in UTC, to the minute: `2026-03-01 09:30`. */
export function minuteText(at: Date): string {
  return at.toISOString().slice(0, 16).replace('T', ' ');
}
