export type Cell = string | number | null;

// A spreadsheet evaluates a cell that begins with one of these, even after blanks, and in full width. In a locale whose
// list separator is a semicolon, it splits lines there in spite of the quotes: what follows one begins a cell.
const FORMULA = /(^|[;\t\r\n])(\s*)(?=[=+\-@＝＋－＠])/g;

/**
 * Return CSV (RFC 4180) with a byte order mark, without which Excel reads Hangul as Windows-1252. A `'` precedes what a
 * spreadsheet would evaluate as a formula.
 */
export function toCsv(rows: readonly (readonly Cell[])[]): string {
  return `\uFEFF${rows.map((row) => `${row.map(quoted).join(',')}\r\n`).join('')}`;
}

function quoted(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell === 'number') return String(cell);
  return `"${cell.replace(FORMULA, "$1$2'").replaceAll('"', '""')}"`;
}
