import { formatNumber } from './format.js';
import type { CallRow } from './row.js';

/** A line of the plot, in the order in which they are drawn. */
interface Series {
  readonly title: string;
  readonly target: string;
  readonly colour: string;
  /** Peers and transports are dashed, the product and its floor are not. */
  readonly isDashed: boolean;
}

interface Panel {
  readonly title: string;
  readonly left: number;
  of(row: CallRow): number;
}

interface Scale {
  readonly low: number;
  readonly high: number;
}

const width = 860;
const plot = { top: 44, bottom: 300, width: 340 };
const legend = { top: 358, left: 70, perLine: 4, columnWidth: 198, lineHeight: 18 };
/** Dark enough on white, light enough on black. */
const colours = [
  '#d9480f',
  '#b08900',
  '#2b8a3e',
  '#1c7ed6',
  '#7048e8',
  '#868e96',
  '#0c8599',
  '#c2255c',
  '#5c940d',
  '#a0522d',
];
const solid = ['holdfast', 'holdfast-serial', 'tcp-container'];
const panels: readonly Panel[] = [
  { title: 'calls per second', left: 70, of: (row) => row.callsPerSecond.median },
  { title: 'p50, µs', left: 500, of: (row) => row.p50Us.median },
];
const style = `
    text { font: 12px system-ui, sans-serif; fill: #343a40; }
    .grid { stroke: #868e96; stroke-opacity: 0.25; }
    .title { font-weight: 600; }
    @media (prefers-color-scheme: dark) { text { fill: #ced4da; } }
  `;

/** Rate and latency by callers, both axes logarithmic, readable on light and dark. @param rows of one scenario, peers' too */
export function plotSvg(rows: readonly CallRow[]): string {
  const series = seriesOf(rows);
  const callers = [...new Set(rows.map((row) => row.callers))].sort((a, b) => a - b);
  const parts = panels.map((panel) => panelSvg(panel, { rows, series, callers }));
  const height = legend.top + Math.ceil(series.length / legend.perLine) * legend.lineHeight;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    '  <title>Warm calls of one instance: calls per second and median latency by number of callers</title>',
    `  <style>${style}</style>`,
    ...parts,
    legendSvg(series),
    '</svg>',
    '',
  ].join('\n');
}

function seriesOf(rows: readonly CallRow[]): Series[] {
  const titles = new Map(rows.map((row) => [row.target, row.title]));
  const targets = [...titles.keys()];
  const ordered = [...solid.filter((name) => titles.has(name)), ...targets.filter((name) => !solid.includes(name))];
  return ordered.map((target, index) => ({
    title: titles.get(target) ?? target,
    target,
    colour: colours[index % colours.length] ?? 'currentColor',
    isDashed: !solid.includes(target),
  }));
}

function panelSvg(
  { title, left, of }: Panel,
  {
    rows,
    series,
    callers,
  }: { readonly rows: readonly CallRow[]; readonly series: readonly Series[]; readonly callers: readonly number[] },
): string {
  const values = rows.map(of);
  const y: Scale = { low: decadeBelow(Math.min(...values)), high: decadeAbove(Math.max(...values)) };
  const x: Scale = { low: callers[0] ?? 1, high: Math.max((callers[0] ?? 1) + 1, callers.at(-1) ?? 1) };
  const atX = (value: number): number => round(left + share(value, x) * plot.width);
  const atY = (value: number): number => round(plot.bottom - share(value, y) * (plot.bottom - plot.top));
  const right = left + plot.width;
  const lines = decades(y).map(
    (value) =>
      `  <line class="grid" x1="${left}" x2="${right}" y1="${atY(value)}" y2="${atY(value)}"/>` +
      `<text x="${left - 8}" y="${atY(value) + 4}" text-anchor="end">${short(value)}</text>`,
  );
  const ticks = callers.map(
    (value) => `  <text x="${atX(value)}" y="${plot.bottom + 18}" text-anchor="middle">${formatNumber(value)}</text>`,
  );
  const curves = series.map(({ target, colour, isDashed }) => {
    const own = rows.filter((row) => row.target === target).sort((a, b) => a.callers - b.callers);
    const points = own.map((row) => [atX(row.callers), atY(of(row))] as const);
    const dash = isDashed ? ' stroke-dasharray="4 4"' : '';
    return [
      `  <polyline fill="none" stroke="${colour}" stroke-width="2"${dash} points="${points.map((at) => at.join(',')).join(' ')}"/>`,
      ...points.map(([cx, cy]) => `  <circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`),
    ].join('\n');
  });
  return [
    `  <text class="title" x="${left}" y="${plot.top - 20}">${title}</text>`,
    ...lines,
    ...ticks,
    `  <text x="${right}" y="${plot.bottom + 34}" text-anchor="end">callers</text>`,
    ...curves,
  ].join('\n');
}

function legendSvg(series: readonly Series[]): string {
  return series
    .map(({ title, colour, isDashed }, index) => {
      const x = legend.left + (index % legend.perLine) * legend.columnWidth;
      const y = legend.top + Math.floor(index / legend.perLine) * legend.lineHeight;
      const dash = isDashed ? ' stroke-dasharray="4 4"' : '';
      const line = `<line x1="${x}" x2="${x + 22}" y1="${y - 4}" y2="${y - 4}" stroke="${colour}" stroke-width="2"${dash}/>`;
      return `  ${line}<text x="${x + 28}" y="${y}">${escaped(title)}</text>`;
    })
    .join('\n');
}

function share(value: number, { low, high }: Scale): number {
  return Math.log(Math.max(value, low) / low) / Math.log(high / low);
}

function decades({ low, high }: Scale): number[] {
  const found: number[] = [];
  for (let value = low; value <= high * 1.000_001; value *= 10) found.push(value);
  return found;
}

function decadeBelow(value: number): number {
  return 10 ** Math.floor(Math.log10(Math.max(value, 1)));
}

function decadeAbove(value: number): number {
  return Math.max(10 * decadeBelow(value), 10 ** Math.ceil(Math.log10(Math.max(value, 1))));
}

function short(value: number): string {
  if (value >= 1_000_000) return `${value / 1_000_000} M`;
  return value >= 1_000 ? `${value / 1_000} k` : String(value);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
