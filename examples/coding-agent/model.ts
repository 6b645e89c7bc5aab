/** What an agent may do next. */
export type Action =
  | { readonly type: 'write'; readonly path: string; readonly content: string }
  | { readonly type: 'give-up'; readonly because: string };

const path = 'slug.py';
const imports = 'import re\n';

/**
 * Stands for a language model, so that the example needs no network: chooses the next version of the code by what the tests
 * said of the last one.
 */
export function nextAction(failure: string | null): Action {
  if (failure === null)
    return { type: 'write', path, content: "def slug(title):\n    return title.replace(' ', '-')\n" };
  if (failure.includes('test_is_lower_case')) {
    return { type: 'write', path, content: "def slug(title):\n    return title.lower().replace(' ', '-')\n" };
  }
  if (failure.includes('test_leaves_out_punctuation')) {
    const body = "return '-'.join(re.findall('[a-z0-9]+', title.lower()))";
    return { type: 'write', path, content: `${imports}\ndef slug(title):\n    ${body}\n` };
  }
  return { type: 'give-up', because: failure };
}
