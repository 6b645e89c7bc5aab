/**
 * The one alarm of an instance: at its time, or as soon after it as can be, its `@alarm()` method is called, wherever the
 * instance then is or has to be started. At least once, again until it has returned (A2); a part of durable state, and fenced as it is.
 */
export interface InstanceAlarm {
  /** In place of the one that stands. @param at ms since 1970 @throws InvalidArgument, InstanceClosed */
  setAlarm(at: Date | number): Promise<void>;
  /** When it was set for; null: there is none. One that rings stands until its method has returned. @throws InstanceClosed */
  getAlarm(): Promise<Date | null>;
  /** @throws InstanceClosed */
  deleteAlarm(): Promise<void>;
}

/** What an `@alarm()` method is called with. */
export interface AlarmCall {
  /** What it was set for. */
  readonly scheduledAt: Date;
  /** 1 and up: of this alarm. */
  readonly attempt: number;
}

/** As fields of an object. @param alarm asked for when it is used */
export function alarmOf(alarm: () => InstanceAlarm): InstanceAlarm {
  return {
    setAlarm: (at) => alarm().setAlarm(at),
    getAlarm: () => alarm().getAlarm(),
    deleteAlarm: () => alarm().deleteAlarm(),
  };
}
