const longestFields = 16_384;

/** Logging must not throw whatever it is given: what does not become JSON is named instead. */
export function plainFields(fields: object): Readonly<Record<string, unknown>> {
  try {
    const json = JSON.stringify(fields, asPlain);
    if (json.length > longestFields)
      return { tooLong: `${json.length} characters of fields, at most ${longestFields} are kept` };
    const plain: unknown = JSON.parse(json);
    return typeof plain === 'object' && plain !== null ? { ...plain } : { value: plain };
  } catch (error) {
    return { notSerializable: String(error) };
  }
}

function asPlain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Error)
    return { ...value, name: value.name, message: value.message, stack: value.stack, cause: value.cause };
  return value;
}
