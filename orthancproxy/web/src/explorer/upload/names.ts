/** A name as the gateway compares it: without regard to case, width and empty components at its end. */
export function comparable(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .trim()
    .replace(/[\^=\s]+$/, '');
}
