import { formatValue } from '../i18n/format';

export interface Change {
  /** DICOM's keyword of the attribute. */
  keyword: string;
  /** The different values that there are; none if the attribute is missing. */
  before: readonly string[];
  /** Null: it is removed. */
  after: string | null;
}

/** The values of a change for people; as DICOM has them where these hide a difference. Names keep their delimiters. */
export function shownValues(change: Change): Pick<Change, 'before' | 'after'> {
  const { keyword, before, after } = change;
  const values = new Set(after === null ? before : [...before, after]);
  const shown = new Map([...values].map((value) => [value, formatValue(keyword, value)]));
  if (new Set(shown.values()).size < values.size) return { before, after };
  return { before: before.map((value) => shown.get(value) ?? value), after: after && (shown.get(after) ?? after) };
}
