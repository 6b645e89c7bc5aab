/** Whether a subject is one that `pattern` names: `*` is any one token, a final `>` one or more. */
export function subjectPattern(pattern: string): (subject: string) => boolean {
  if (!/[*>]/.test(pattern)) return (subject) => subject === pattern;
  const wanted = pattern.split('.');
  const isOpen = wanted.at(-1) === '>';
  if (isOpen) wanted.pop();
  return (subject) => {
    const tokens = subject.split('.');
    if (isOpen ? tokens.length <= wanted.length : tokens.length !== wanted.length) return false;
    return wanted.every((token, i) => token === '*' || token === tokens[i]);
  };
}
