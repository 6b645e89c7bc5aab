import type { ImageProgress } from '../../sdk/images/deploy-images.js';
import type { Terminal } from './terminal.js';

/** Tells people what happens while images are built: each step, and what it prints. */
export function imageNotes(terminal: Pick<Terminal, 'note' | 'paintNote'>): (progress: ImageProgress) => void {
  let line = '';
  const endLine = (): void => {
    if (line !== '') terminal.note(`    ${line}`);
    line = '';
  };
  return (progress) => {
    if (progress.type === 'output') {
      const lines = (line + progress.text).split(/\r\n|\n|\r/);
      line = lines.pop() ?? '';
      for (const each of lines) terminal.note(`    ${each}`);
      return;
    }
    endLine();
    const image = `image of ${progress.resources.join(', ')}`;
    if (progress.type === 'built') return terminal.note(`${image}: ${progress.image}`);
    const { step, of, what, cached } = progress;
    terminal.note(`${terminal.paintNote('cyan', `${image}: ${step}/${of}`)} ${what}${cached ? ' (built before)' : ''}`);
  };
}
