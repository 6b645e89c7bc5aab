import { stripVTControlCharacters } from 'node:util';

/** A gap and a word; what is in quotes is one, a command above all, to be copied in one piece. */
const gapAndWord = /(\s*)(`[^`]*`\S*|'[^']*'\S*|\S+)/g;
/** Text of one line as lines that are no wider, if its words allow; those after the first begin with `indent`. Null: as it is. */
export function wrapped(text: string, width: number | null, indent = '  '): string[] {
  if (width === null || visible(text) <= width) return [text];
  const lines: string[] = [];
  let line = '';
  for (const [, gap = '', word = ''] of text.matchAll(gapAndWord)) {
    if (line.trim() !== '' && visible(line + gap + word) > width) {
      lines.push(line);
      line = indent + word;
    } else {
      line += gap + word;
    }
  }
  return [...lines, line];
}

function visible(text: string): number {
  return stripVTControlCharacters(text).length;
}
