/** A name of DICOM for display: its groups, without the delimiters of components. */
export function displayName(name: string): string {
  const groups = name.split('=').map((group) => group.replaceAll(/\^+/g, ' ').trim());
  return groups.filter(Boolean).join(' · ');
}

/** A name as the gateway compares it: without regard to case, width and empty components at its end. */
export function comparable(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .trim()
    .replace(/[\^=\s]+$/, '');
}
