/** The DICOM JSON model (PS3.18 annex F), and the rows in which the tag browser shows it. */
export interface DicomJson {
  [tag: string]: Attribute;
}

interface Attribute {
  vr: string;
  Value?: readonly Value[];
  InlineBinary?: string;
  BulkDataURI?: string;
}

type Value = string | number | null | DicomJson | { Alphabetic?: string; Ideographic?: string; Phonetic?: string };

/** A row of the tag browser: an attribute, or an item of a sequence. */
export interface AttributeRow {
  /** Unique: the tags and item numbers that lead to it. */
  path: string;
  depth: number;
  /** `0008,0005`; empty for an item. */
  tag: string;
  keyword: string;
  vr: string;
  value: string;
  /** Bytes that only the file has. */
  isBinary: boolean;
  /** Of an item in its sequence, from 1. */
  itemNumber?: number;
  /** The number of items of a sequence; of attributes of an item. */
  childrenCount?: number;
  /** What the search compares. */
  searched: string;
}

/** All rows, each before those below it. `keywordOf` is given tags of eight hexadecimal digits. */
export function attributeRows(dataset: DicomJson, keywordOf: (tag: string) => string): AttributeRow[] {
  const rows: AttributeRow[] = [];
  addRows(rows, dataset, keywordOf, '', 0);
  return rows;
}

function addRows(
  rows: AttributeRow[],
  dataset: DicomJson,
  keywordOf: (tag: string) => string,
  above: string,
  depth: number,
): void {
  for (const [key, attribute] of Object.entries(dataset).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const path = `${above}/${key}`;
    const isSequence = attribute.vr === 'SQ';
    const items = isSequence ? ((attribute.Value ?? []) as readonly DicomJson[]) : undefined;
    const row = {
      path,
      depth,
      tag: `${key.slice(0, 4)},${key.slice(4)}`.toLowerCase(),
      keyword: keywordOf(key),
      vr: attribute.vr,
      value: isSequence ? '' : (attribute.Value ?? []).map(textOf).join('\\'),
      isBinary: 'BulkDataURI' in attribute || 'InlineBinary' in attribute,
      childrenCount: items?.length,
    };
    rows.push({ ...row, searched: `${key} ${row.tag} ${row.keyword} ${row.value}`.toLowerCase() });
    items?.forEach((item, index) => {
      const itemPath = `${path}/${index + 1}`;
      const common = { tag: '', keyword: '', vr: '', value: '', isBinary: false, searched: '' };
      rows.push({
        ...common,
        path: itemPath,
        depth: depth + 1,
        itemNumber: index + 1,
        childrenCount: Object.keys(item ?? {}).length,
      });
      addRows(rows, item ?? {}, keywordOf, itemPath, depth + 2);
    });
  }
}

function textOf(value: Value): string {
  if (value === null) return '';
  if (typeof value !== 'object') return String(value);
  const { Alphabetic = '', Ideographic = '', Phonetic = '' } = value as Record<string, string>;
  return [Alphabetic, Ideographic, Phonetic].join('=').replace(/=+$/, '');
}

/** The rows that are shown: without a search, those that no closed row hides; else what matches, and what is above. */
export function visibleRows(
  rows: readonly AttributeRow[],
  search: string,
  closed: ReadonlySet<string>,
): AttributeRow[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return rows.filter(({ path }) => !ancestors(path).some((above) => closed.has(above)));
  const shown = new Set<string>();
  for (const { path, searched } of rows) {
    if (!words.every((word) => searched.includes(word))) continue;
    shown.add(path);
    for (const above of ancestors(path)) shown.add(above);
  }
  return rows.filter(({ path }) => shown.has(path));
}

function ancestors(path: string): string[] {
  const found: string[] = [];
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) found.push(path.slice(0, end));
  return found;
}
